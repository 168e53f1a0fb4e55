"""What a report was asked and of which data: printed at its head and in its JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.reports.values import instant, plain

__all__ = ["Scope", "Unreadable", "nothing"]

SCHEMA = 1
"""Version of the JSON documents. It rises when a name is given up or means something else."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The question.

    ``since`` and ``until`` select sessions by their start, ``until`` exclusive; None leaves that side open. ``as_of``
    is the moment at which the answer was true.
    """

    data: str
    as_of: datetime
    since: datetime | None = None
    until: datetime | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    unreadable: tuple[Unreadable, ...] = ()

    def document(self, report: str) -> dict[str, object]:
        """The keys that every JSON document begins with."""
        return {
            "schema": f"otel_voicebot.{report}/{SCHEMA}",
            "as_of": plain(self.as_of),
            "window": {"since": plain(self.since), "until": plain(self.until)},
            "filters": dict(self.filters),
            "data": self.data,
            "unreadable": [{"path": item.path, "reason": item.reason} for item in self.unreadable],
        }

    def lines(self, counted: str) -> list[str]:
        """The head of a report for people; ``counted`` says what was counted (``12 sessions, 48 turns``)."""
        lines = [f"{counted}, {self.window()}", f"data {self.data}, as of {instant(self.as_of)}"]
        if self.filters:
            lines.append("only " + ", ".join(f"{name} {value}" for name, value in self.filters.items()))
        lines += [f"left out, can't be read: {item.path} ({item.reason})" for item in self.unreadable]
        return lines

    def window(self) -> str:
        """The window in words."""
        if self.since and self.until:
            return f"from {instant(self.since)} to {instant(self.until)}"
        if self.since:
            return f"since {instant(self.since)}"
        return f"until {instant(self.until)}" if self.until else "all time"


def nothing(scope: Scope, what: str) -> NoDataError | UnreadableDataError:
    """The error of a question that no row answers; damage goes first, as the answer may lie in what can't be read."""
    filters = "".join(f", {name} {value}" for name, value in scope.filters.items())
    message = f"no {what}: {scope.window()}{filters}, in {scope.data}"
    if not scope.unreadable:
        return NoDataError(message)
    paths = tuple(item.path for item in scope.unreadable)
    return UnreadableDataError(f"{message}; what can't be read was left out: {', '.join(paths[:3])}", paths)
