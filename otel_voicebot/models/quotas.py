"""Quotas and budgets: how much of a service, or of money, may be used in a day or a month. A YAML or JSON file."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from otel_voicebot.models.checked import read_checked

__all__ = ["Moment", "Quotas", "as_rows", "read_quotas"]

Amount = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Share = Annotated[float, Field(gt=0, le=1, strict=True)]
Period = Literal["day", "month"]
_UNITS: Final = ("calls", "tokens", "characters", "seconds", "usd")
_MICROSECOND: Final = timedelta(microseconds=1)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quota(_Entry):
    """How much of a service may be used."""

    service: str
    """As in the section services: a provider, an API's name, or ``telephony``."""
    component: Literal["stt", "llm", "tts", "rag", "api", "telephony"] | None = None
    """Only this of the provider's services."""
    period: Period
    calls: Amount | None = None
    tokens: Amount | None = None
    """Of the prompt and of the answer."""
    characters: Amount | None = None
    seconds: Amount | None = None
    """Of audio; of telephony, of the call."""
    usd: Amount | None = None
    warning_share: Share | None = None
    """From this share on there is a warning; else that of the file."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if all(getattr(self, unit) is None for unit in _UNITS):
            msg = f"needs one of {', '.join(_UNITS)}"
            raise ValueError(msg)
        return self


class Budget(_Entry):
    """What everything together may cost."""

    period: Period
    usd: Amount
    warning_share: Share | None = None


class Quotas(_Entry):
    """The quotas file."""

    warning_share: Share = 0.8
    quotas: tuple[Quota, ...] = ()
    budgets: tuple[Budget, ...] = ()

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.quotas or self.budgets):
            msg = "names no quota: it needs quotas or budgets, lists"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, slots=True)
class Moment:
    """When quotas are asked about. The day and the month that end with ``at``, by the calendar in UTC, count."""

    at: datetime
    """Aware; what is later isn't counted. At midnight the day before is meant."""
    since: datetime | None = None
    """Sessions that began earlier aren't looked at."""
    whole: bool = True
    """All sessions are looked at, not those of one bot only."""

    def period(self, name: Period) -> tuple[datetime, datetime]:
        """Begin and end of the day or month."""
        day = (self.at - _MICROSECOND).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if name == "day":
            return day, day + timedelta(days=1)
        first = day.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1)


def as_rows(quotas: Quotas | None, moment: Moment) -> list[dict[str, object]]:
    """The table ``quotas`` of an engine: one row per quota and unit."""
    if quotas is None:
        return []
    rows = []
    for position, (entry, unit, limit) in enumerate(_limits(quotas)):
        begin, end = moment.period(entry.period)
        service = {name: getattr(entry, name, None) for name in ("service", "component")}
        rows.append(
            {
                "position": position,
                **service,
                "period": entry.period,
                "unit": unit,
                "allowed": limit,
                "warning_share": entry.warning_share or quotas.warning_share,
                "begin_time": begin,
                "end_time": end,
                "at_time": moment.at,
                "begin_us": _micros(begin),
                "elapsed_us": _micros(moment.at) - _micros(begin),
                "period_us": _micros(end) - _micros(begin),
                "whole": moment.whole and (moment.since is None or moment.since <= begin),
            }
        )
    return rows


def _limits(quotas: Quotas) -> Iterator[tuple[Quota | Budget, str, float]]:
    entries: tuple[Quota | Budget, ...] = (*quotas.quotas, *quotas.budgets)
    for entry in entries:
        for unit in _UNITS:
            limit = getattr(entry, unit, None)
            if limit is not None:
                yield entry, unit, limit


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND


def read_quotas(path: Path) -> Quotas:
    """The quotas file.

    Raises:
        UsageError: it can't be read, or a field is missing, unknown or wrong; the message names field and value.
    """
    return read_checked(path, Quotas, "quotas file", "quotas or budgets, lists")
