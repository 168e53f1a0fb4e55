"""What a framework is expected to write where all is well, and what to switch on where it doesn't."""

from dataclasses import dataclass

__all__ = ["Expected", "on"]


@dataclass(frozen=True, slots=True)
class Expected:
    """An attribute on spans of a name, or a span of that name.

    Attributes:
        span: the span's name; a trailing ``*`` makes a prefix.
        key: the attribute; empty: the span itself.
        tells: what isn't known without it, in words for people; empty: nothing.
        always: it is written whatever the settings, so where it is missing from all of these spans, it was renamed or
            something took it away. A span that has this and isn't there makes turns impossible.
        usual: it is written whatever the settings, and turns do without it: it counts as missing only where unknown
            names took its place.
        enable: the setting to switch on where it is missing.
        column: what it fills, where no attribute does (the time of an event); else the dialect's columns tell.
        since: first version that writes it.
    """

    span: str
    key: str = ""
    tells: str = ""
    always: bool = False
    usual: bool = False
    enable: str = ""
    column: str = ""
    since: str = ""


def on(
    span: str, tells: str, *keys: str, enable: str = "", always: bool = False, usual: bool = False, since: str = ""
) -> tuple[Expected, ...]:
    """Several attributes of one span that tell the same."""
    return tuple(Expected(span, key, tells, always=always, usual=usual, enable=enable, since=since) for key in keys)
