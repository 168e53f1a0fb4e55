"""The price file: what the user pays for speech, lines and models of their own: YAML or JSON, each field checked."""

import datetime as dt
from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from otel_voicebot.models.checked import read_checked

__all__ = ["PriceFile", "ServicePrice", "Telephony", "read_prices"]

Usd = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False, strict=True)]
"""Beyond a billion dollars it is a slip, and sums of costs would not hold it."""
_MILLION: Final = 1_000_000


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServicePrice(_Entry):
    """The price of a service. Without a model it is that of all models of the provider; without either, of all."""

    provider: str | None = None
    model: str | None = None

    @abstractmethod
    def usd(self) -> dict[str, Any]:
        """Columns of the table ``prices``."""

    def rank(self, provider: str | None, model: str | None) -> int | None:
        """How closely it names this service; None where it names another. Case doesn't count."""
        rank = 0
        for mine, theirs, weight in ((self.provider, provider, 1), (self.model, model, 2)):
            if mine is None:
                continue
            if theirs is None or mine.lower() != theirs.lower():
                return None
            rank += weight
        return rank


class Stt(ServicePrice):
    """Speech to text: by the second of audio heard."""

    per_second: Usd

    def usd(self) -> dict[str, Any]:
        """Columns of the table ``prices``."""
        return {"second_usd": self.per_second}


class Tts(ServicePrice):
    """Text to speech: by the character, or by the second of audio made."""

    per_character: Usd | None = None
    per_second: Usd | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.per_character is None) == (self.per_second is None):
            msg = "needs either per_character or per_second"
            raise ValueError(msg)
        return self

    def usd(self) -> dict[str, Any]:
        """Columns of the table ``prices``."""
        return {"character_usd": self.per_character, "second_usd": self.per_second}


class Llm(ServicePrice):
    """A language model: by the million tokens. Cached input costs as much as fresh one unless told."""

    per_million_input: Usd
    per_million_output: Usd
    per_million_cached_input: Usd | None = None

    def usd(self) -> dict[str, Any]:
        """Columns of the table ``prices``."""
        cached = self.per_million_input if self.per_million_cached_input is None else self.per_million_cached_input
        return {
            "input_usd": self.per_million_input / _MILLION,
            "cached_usd": cached / _MILLION,
            "output_usd": self.per_million_output / _MILLION,
            "request_usd": 0.0,
        }


class Telephony(_Entry):
    """A line: by the minute of the call, on this channel."""

    channel: str
    per_minute: Usd


class PriceFile(_Entry):
    """What the user pays, in USD, and since when that is so."""

    date: dt.date
    """The day that the prices are of; reports print it."""
    stt: tuple[Stt, ...] = ()
    tts: tuple[Tts, ...] = ()
    llm: tuple[Llm, ...] = ()
    telephony: tuple[Telephony, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Self:
        channels = [entry.channel for entry in self.telephony]
        twice = next((name for name in channels if channels.count(name) > 1), None)
        if twice is not None:
            msg = f"telephony has two prices of the channel {twice!r}"
            raise ValueError(msg)
        for component, entries in (("stt", self.stt), ("tts", self.tts), ("llm", self.llm)):
            named = [
                (entry.provider and entry.provider.lower(), entry.model and entry.model.lower()) for entry in entries
            ]
            again = next((name for name in named if named.count(name) > 1), None)
            if again is not None:
                msg = f"{component} has two prices of provider {again[0] or 'any'}, model {again[1] or 'any'}"
                raise ValueError(msg)
        return self

    def find(self, component: str, provider: str | None, model: str | None) -> ServicePrice | None:
        """The entry that names a service most closely."""
        entries: dict[str, tuple[ServicePrice, ...]] = {"stt": self.stt, "tts": self.tts, "llm": self.llm}
        ranked = [(entry.rank(provider, model), entry) for entry in entries.get(component, ())]
        known = [(rank, entry) for rank, entry in ranked if rank is not None]
        return max(known, key=lambda one: one[0])[1] if known else None


def read_prices(path: Path) -> PriceFile:
    """The price file.

    Raises:
        UsageError: it can't be read, or a field is missing, unknown or wrong; the message names field and value.
    """
    return read_checked(path, PriceFile, "price file", "date, and stt, tts, llm or telephony")
