"""A real browser without a network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def opened(file: Path, **context: object) -> Iterator[tuple[Any, list[str]]]:
    """The page of a file, and what went wrong on it: requests, console messages, errors. Skips without a browser."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(PROGRAMS)} is installed (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the [dev] extra)")
    trouble: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            page = browser.new_context(offline=True, **context).new_page()
            page.on("request", lambda request: trouble.append(f"request {request.url[:100]}"))
            page.on("console", lambda message: trouble.append(f"console {message.text}"))
            page.on("pageerror", lambda error: trouble.append(f"error {error}"))
            page.goto(file.as_uri())
            assert trouble.pop(0) == f"request {file.as_uri()[:100]}"
            yield page, trouble
        finally:
            browser.close()
