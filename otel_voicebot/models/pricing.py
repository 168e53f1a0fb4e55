"""What usage costs: model calls by genai-prices, the rest by a price file of the user's. No network call.

A price that isn't known is no price: the models leave the cost null, and the report says how much is priced.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    import pyarrow as pa

    from otel_voicebot.models.price_file import PriceFile, ServicePrice, Telephony

__all__ = ["LIBRARY", "Price", "Priced", "Prices", "Service", "listing", "preload"]

_ALWAYS: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
_ANY_TOKENS: Final = (0, 1 << 62)
_MILLION: Final = 1_000_000
LIBRARY: Final = "genai-prices"
_PROVIDERS: Final = {"x_ai": "x-ai", "azure.ai.inference": "azure", "gcp.gen_ai": "google"}
"""OpenTelemetry's names of providers that genai-prices knows by another one."""


class Service(NamedTuple):
    """Something that is paid for, as its spans name it."""

    component: str
    provider: str | None
    model: str | None


class Price(NamedTuple):
    """A row of the table ``prices``: USD for one token, request, second or character; None where it isn't sold so.

    It holds for calls from ``since_time`` on and before ``until_time``, with ``from_tokens`` to less than
    ``to_tokens`` of input: providers change prices on a day, and some charge long prompts more.
    """

    component: str
    provider: str | None
    model: str | None
    source: str
    since_time: datetime = _ALWAYS[0]
    until_time: datetime = _ALWAYS[1]
    from_tokens: int = _ANY_TOKENS[0]
    to_tokens: int = _ANY_TOKENS[1]
    input_usd: float | None = None
    cached_usd: float | None = None
    output_usd: float | None = None
    request_usd: float | None = None
    second_usd: float | None = None
    character_usd: float | None = None

    @property
    def always(self) -> bool:
        """Whether it holds on every day and for prompts of every length."""
        return (self.since_time, self.until_time, self.from_tokens, self.to_tokens) == (*_ALWAYS, *_ANY_TOKENS)


class Priced(Protocol):
    """What is given prices; an ``Engine`` is one."""

    def sql(self, text: str, parameters: Sequence[object] = ()) -> "pa.Table":
        """A query."""
        ...

    def give(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Fill a table."""
        ...


@dataclass(frozen=True, slots=True)
class Prices:
    """Where prices come from. An entry of the file goes before genai-prices: it is what the user pays."""

    file: "PriceFile | None" = None

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """With this price file, or without any.

        Raises:
            UsageError: as ``read_prices``.
        """
        if path is None:
            return cls()
        from otel_voicebot.models.price_file import read_prices  # noqa: PLC0415 - few have one

        return cls(read_prices(path))

    def give(self, engine: Priced) -> str:
        """Look up the services that the engine's sessions used, and give it their prices.

        Returns:
            Where the prices are from and of which day, in a sentence.
        """
        used = engine.sql(
            "SELECT DISTINCT component, provider, model FROM components WHERE component IN ('llm', 'stt', 'tts')"
        )
        rows = self.of(Service(**row) for row in used.to_pylist())
        engine.give("prices", [row._asdict() for row in rows])
        lines = [] if self.file is None else [_line(entry) for entry in self.file.telephony]
        engine.give("telephony_prices", lines)
        own = [] if self.file is None else [f"a price file of {self.file.date}"]
        listed = [_told()] if any(row.source == LIBRARY for row in rows) else []
        return (
            f"prices from {' and '.join(own + listed)}"
            if own or listed
            else "no prices: name a price file with --prices"
        )

    def of(self, services: Iterable[Service]) -> list[Price]:
        """The prices of these services; none of one whose price isn't known."""
        return [price for service in services for price in self._of(service)]

    def _of(self, service: Service) -> list[Price]:
        entry = None if self.file is None else self.file.find(*service)
        if entry is not None and self.file is not None:
            return [_price(service, entry, f"price file of {self.file.date}")]
        return _listed(service) if service.component == "llm" and service.model else []


def _line(entry: "Telephony") -> dict[str, object]:
    return {"channel": entry.channel, "minute_usd": entry.per_minute}


def _price(service: Service, entry: "ServicePrice", source: str) -> Price:
    return Price(*service, source)._replace(**entry.usd())


def listing() -> tuple[str, date | None]:
    """genai-prices with its version, and the latest day up to today on which a price in it changed."""
    from importlib.metadata import version  # noqa: PLC0415 - reads the disk

    days = [day for one in _models() for day in _days(one)]
    latest = max((day for day in days if day <= datetime.now(UTC).date()), default=None)
    return f"{LIBRARY} {version(LIBRARY)}", latest


def _told() -> str:
    name, latest = listing()
    return name + (f" (latest change {latest})" if latest else "")


def preload() -> None:
    """Load the library's prices, for who will need them soon. Never raises."""
    with contextlib.suppress(Exception):  # whoever needs them is told
        next(iter(_models()), None)


def _models() -> Iterable[Any]:
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - a fifth of a second

    return (model for provider in get_snapshot().providers for model in provider.models)


def _days(model: Any) -> list[date]:
    """Days on which a model's price changes, ascending."""
    steps = model.prices if isinstance(model.prices, list) else []
    return sorted({step.constraint.start_date for step in steps if hasattr(step.constraint, "start_date")})


def _by_the_clock(model: Any) -> bool:
    steps = model.prices if isinstance(model.prices, list) else []
    return any(hasattr(step.constraint, "start_time") for step in steps)


def _listed(service: Service) -> list[Price]:
    """The prices that genai-prices has of a model; none of one that costs more at some hours of the day."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - a fifth of a second

    try:
        provider = _PROVIDERS.get(service.provider or "", service.provider)
        _, model = get_snapshot().find_provider_model(service.model or "", None, provider, None)
    except LookupError:
        return []
    if _by_the_clock(model):
        return []
    starts = [_ALWAYS[0], *(datetime(day.year, day.month, day.day, tzinfo=UTC) for day in _days(model))]
    ends = [*starts[1:], _ALWAYS[1]]
    return [
        price
        for start, end in zip(starts, ends, strict=True)
        for price in _tiers(service, model.get_prices(start), start, end)
    ]


def _tiers(service: Service, told: Any, start: datetime, end: datetime) -> list[Price]:
    """One row for each length of the input from which on tokens cost something else."""
    parts = (told.input_mtok, told.cache_read_mtok, told.output_mtok)
    if told.input_mtok is None:
        return []
    begins = sorted({0, *(tier.start + 1 for part in parts for tier in getattr(part, "tiers", ()))})
    request = 0.0 if told.requests_kcount is None else float(_at(told.requests_kcount, 0) / 1000)
    found = []
    for begin, beyond in zip(begins, [*begins[1:], _ANY_TOKENS[1]], strict=True):
        fresh, cached, output = (None if part is None else float(_at(part, begin) / _MILLION) for part in parts)
        prices: dict[str, Any] = {
            "input_usd": fresh,
            "cached_usd": fresh if cached is None else cached,
            "output_usd": output or 0.0,
            "request_usd": request,
        }
        found.append(Price(*service, LIBRARY, start, end, begin, beyond)._replace(**prices))
    return found


def _at(price: Any, tokens: int) -> Decimal:
    """A price at this length of the input, as genai-prices reads it: the highest tier that is exceeded, for all."""
    reached = [tier.price for tier in getattr(price, "tiers", ()) if tokens > tier.start]
    found: Decimal = reached[-1] if reached else getattr(price, "base", price)
    return found
