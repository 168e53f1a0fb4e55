"""Which sessions a question means."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

__all__ = ["FILTERS", "LABELS", "Selection"]

LABELS: Final = ("bot", "channel", "variant", "environment")
"""What every span of a session says of it."""
FILTERS: Final = (*LABELS, "intent")
"""What sessions are selected by, beside their time."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which sessions are meant. The window selects sessions by their start; None selects all."""

    since: datetime | None = None
    """From this (aware) time on."""
    until: datetime | None = None
    """Before this (aware) time."""
    bot: str | None = None
    channel: str | None = None
    variant: str | None = None
    environment: str | None = None
    intent: str | None = None
    """Of the session: what its own span says, else the first that was classified."""
    as_of: datetime | None = None
    """What ended after this (aware) moment isn't known: calls, surveys, repeat contacts. None: all that is stored."""

    @property
    def filters(self) -> dict[str, str]:
        """Which bot, channel and so on is meant, by the names in ``FILTERS``; without those of which all are."""
        return {name: value for name in FILTERS if (value := getattr(self, name)) is not None}

    @property
    def every(self) -> bool:
        """Whether all sessions of the window are meant, whatever their bot, channel and so on."""
        return self == Selection(self.since, self.until, as_of=self.as_of)

    def where(self) -> tuple[str, list[object]]:
        """An SQL condition over sessions and its parameters; the condition is empty when all are meant."""
        terms = {"since": "start_time >= ?", "until": "start_time < ?"}
        chosen = [(field.name, getattr(self, field.name)) for field in fields(self) if field.name != "as_of"]
        chosen = [(name, value) for name, value in chosen if value is not None]
        return " AND ".join(terms.get(name, f"{name} = ?") for name, _ in chosen), [value for _, value in chosen]
