"""A real Prometheus that scrapes what a test serves."""

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml

__all__ = ["Prometheus", "needs_prometheus"]

WAIT_S = 60.0

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="Prometheus is not installed (Debian's package prometheus has it and promtool; .ci/run installs it)",
)


class Prometheus:
    """A running server with exemplar storage; killed when the block is left.

    Args:
        directory: where it keeps its files.
        target: HOST:PORT that it scrapes, every second.
        rules: files of rules.
        every: how often they are evaluated.
        alertmanager: HOST:PORT that alerts are sent to.
    """

    def __init__(
        self,
        directory: Path,
        target: str,
        *,
        rules: Sequence[Path] = (),
        every: str = "1s",
        alertmanager: str | None = None,
    ) -> None:
        scrape = {"job_name": "voicebot", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
        managers = [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []
        config = directory / "prometheus.yml"
        config.write_text(
            yaml.safe_dump(
                {
                    "global": {"evaluation_interval": every},
                    "rule_files": [str(path.absolute()) for path in rules],
                    "alerting": {"alertmanagers": managers},
                    "scrape_configs": [scrape],
                }
            )
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self._log = directory / "prometheus.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={directory / 'tsdb'}",
                    f"--web.listen-address={self._address}",
                    "--enable-feature=exemplar-storage",
                ],
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, path: str, **parameters: str | float) -> Any:
        """The data that its API answers with; None where it is not up yet."""
        assert self._process.poll() is None, self._log.read_text()
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError:  # refused, or 503 while it starts
            return None

    def wait(self, path: str, **parameters: str | float) -> Any:
        """The same, as soon as there is something in it."""
        deadline = time.monotonic() + WAIT_S
        while not (found := self.ask(path, **parameters)):
            assert time.monotonic() < deadline, f"{path} stayed empty: {self._log.read_text()}"
            time.sleep(0.2)
        return found
