"""What HTML pages of reports share: templates, data that can stand in a script, a policy that lets nothing else run.

A page needs nothing from elsewhere. Everything a sender wrote is escaped by the template; beside that the page's own
content security policy lets no other script run than those that are written here, by their digests, and nothing be
loaded at all.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["digest", "embedded", "file", "policy", "template"]


@cache
def file(name: str) -> str:
    """A file among the templates."""
    return (resources.files("otel_voicebot.reports") / "templates" / name).read_text(encoding="utf-8")


@cache
def template(name: str) -> "Template":
    """One of them as a template that escapes what is put into it."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only where a page is written

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(file(name))


def digest(text: str) -> str:
    """A script's or style's digest, as a policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def policy(scripts: Sequence[str], styles: str) -> str:
    """The content security policy of a page with these scripts; ``styles`` says which styles may apply."""
    allowed = " ".join(f"'{digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; script-src {allowed}; "
        f"style-src {styles}; img-src data:"
    )


def embedded(document: object) -> str:
    """JSON that can stand in a script element: no character in it can end the element or begin a comment."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").translate(_LINES)


_LINES: Final = {0x2028: "\\u2028", 0x2029: "\\u2029"}
