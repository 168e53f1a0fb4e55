"""Times and periods that a user writes: ``7d``, ``2026-03-01``, ``14d..7d``."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from otel_voicebot.errors import UsageError
from otel_voicebot.reports.values import instant

__all__ = ["Period", "length", "moment", "pair", "period", "window"]

_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Period:
    """Calls that began at or after ``since`` and before ``until`` (aware); None leaves that side open.

    Raises:
        UsageError: it ends before it begins.
    """

    since: datetime | None
    until: datetime | None

    def __post_init__(self) -> None:
        if self.since and self.until and self.since >= self.until:
            msg = f"the period {self} is empty: it ends before it begins"
            raise UsageError(msg)

    def overlaps(self, other: "Period") -> bool:
        """Whether a call could lie in both."""
        return not (_over(self, other) or _over(other, self))

    def before(self, now: datetime) -> "Period":
        """As long a time, just before. A period without an end, or with one that is yet to come, ends now.

        Raises:
            UsageError: it has no beginning, or begins after now.
        """
        if self.since is None:
            msg = f"the period {self} has no beginning, so there is none before it: give --since"
            raise UsageError(msg)
        until = min(self.until or now, now)  # a part of a month isn't compared with a whole one
        if self.since >= until:
            msg = f"the period {self} has not begun yet: there is none as long before it"
            raise UsageError(msg)
        try:
            return Period(self.since - (until - self.since), self.since)
        except OverflowError:
            msg = f"there is no period as long as {self} before it"
            raise UsageError(msg) from None

    def __str__(self) -> str:
        return f"{instant(self.since) if self.since else ''}..{instant(self.until) if self.until else ''}"


def _over(first: Period, second: Period) -> bool:
    return first.until is not None and second.since is not None and first.until <= second.since


def moment(text: str | datetime | None, now: datetime, option: str) -> datetime | None:
    """A time that a user wrote, in UTC: ISO 8601, or how long ago (``90s``, ``15m``, ``24h``, ``7d``, ``2w``).

    Args:
        text: what was written, or a time (without an offset UTC); None stays None.
        now: what "ago" counts from.
        option: where it was written, for the error.

    Raises:
        UsageError: it is neither.
    """
    if text is None:
        return None
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=UTC)
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        when = datetime.fromisoformat(text.strip())
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        msg = f"{option} {text!r} is no time: write 2026-03-01, 2026-03-01T09:30:00+01:00, or 15m, 24h, 7d (ago)"
        raise UsageError(msg) from None


def window(
    since: str | datetime | None,
    until: str | datetime | None,
    as_of: str | datetime | None,
    now: datetime,
    called: Callable[[str], str],
) -> tuple[Period, datetime | None]:
    """Which calls a user asks for, and as of when (None: now). "Ago" counts from the moment that is asked as of.

    Args:
        since: as ``moment`` takes it; so are the next two.
        until: the end.
        as_of: the moment that the answer is of.
        now: the present.
        called: what the user knows ``since``, ``until`` and ``as_of`` as, for errors.

    Raises:
        UsageError: one can't be read, the window is empty, or ``as_of`` lies in the future.
    """
    then = moment(as_of, now, called("as_of"))
    if then is not None and then > now:
        msg = f"{called('as_of')} {as_of} lies in the future: nobody knows yet what will have happened by then"
        raise UsageError(msg)
    first, last = (moment(end, then or now, called(name)) for name, end in (("since", since), ("until", until)))
    if first and last and first >= last:
        msg = f"the window is empty: {called('since')} {since} is not before {called('until')} {until}"
        raise UsageError(msg)
    return Period(first, last), then


def period(text: str, now: datetime, option: str = "the period") -> Period:
    """A period that a user wrote, ``SINCE..UNTIL``; a side that is left out is open.

    Raises:
        UsageError: it is none, or it is empty.
    """
    first, dots, last = text.partition("..")
    if not dots or not (first or last):
        msg = f"{option} {text!r} is no period: write SINCE..UNTIL, such as 2026-03-01..2026-03-08, or 14d..7d"
        raise UsageError(msg)
    return Period(moment(first or None, now, option), moment(last or None, now, option))


def pair(
    since: str | datetime | None, until: str | datetime | None, against: str | None, now: datetime
) -> tuple[Period, Period]:
    """A period and the one that it is compared with: the last 24 hours unless told, and as long a time before it.

    Raises:
        UsageError: one can't be read or is empty, or they overlap.
    """
    end = moment(until, now, "--until") or now
    this = Period(moment(since, now, "--since") or end - timedelta(days=1), end)
    if against is None:
        return this, this.before(now)
    before = period(against, now, "--against")
    if before.overlaps(this):
        msg = f"--against {against!r} overlaps {this}: a call would be in both periods; choose one before or after it"
        raise UsageError(msg)
    return this, before


def length(text: str, option: str) -> float:
    """Seconds that a user wrote: a number of them, or ``90s``, ``15m``, ``24h``, ``7d``, ``2w``.

    Raises:
        UsageError: it is neither, or not longer than 0.
    """
    written = text.strip()
    found = _AGO.fullmatch(written if written[-1:].isalpha() else f"{written}s")
    try:
        seconds = timedelta(**{_UNITS[found[2]]: float(found[1])}).total_seconds() if found else 0.0
    except OverflowError:
        seconds = 0.0
    if seconds <= 0:
        msg = f"{option} {text!r} is no length of time: write 60, 15m, 24h or 7d"
        raise UsageError(msg)
    return seconds
