"""What operations and telephone lines cost, as they are counted: the models ``costs`` and ``lines`` without an engine.

Prices are those that the process was started with; each service is looked up once. A test holds it to the models.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from otel_voicebot import semconv as s
from otel_voicebot.live.aggregate import Aggregator, Encoded, encoded
from otel_voicebot.models.pricing import LIBRARY, Price, Prices, Service, listing
from otel_voicebot.selfmetrics import SelfMetrics

__all__ = ["Costing"]

Floats = NDArray[np.float64]
_PAID: Final = pa.array(("stt", "llm", "tts"))
_USD: Final = ("input_usd", "cached_usd", "output_usd", "request_usd", "second_usd", "character_usd")
_READ: Final = (
    *(*s.COST.labels, "start_time", "input_tokens", "cached_input_tokens", "output_tokens", "audio_s", "characters"),
)
_NOTHING: Final = [np.nan] * len(_USD)
_KEPT: Final = 2000
"""Services whose prices are remembered: more than a metric has series. Senders may make names up."""


class Costing:
    """Counts ``voicebot.cost`` and what of it has a price. For one thread.

    Args:
        prices: where prices come from.
        metrics: takes the day that they are of.
    """

    def __init__(self, prices: Prices, metrics: SelfMetrics) -> None:
        self._prices = prices
        self._metrics = metrics
        self._lines = {} if prices.file is None else {one.channel: one.per_minute for one in prices.file.telephony}
        self._listed = False
        self._forget()
        if prices.file is not None:
            self._tell("price file", prices.file.date)

    def _forget(self) -> None:
        self._known: dict[Service, list[tuple[int, Price]]] = {}
        self._table = [_NOTHING]
        self._usd: Floats = np.asarray(self._table)

    def record_operations(self, into: Aggregator, rows: pa.Table) -> None:
        """Feed rows of the model ``operations``, each once."""
        paid = pc.is_in(rows["component"], _PAID)
        rows = rows.select(_READ).filter(paid)  # each column that is filtered costs a copy
        if not rows.num_rows:
            return
        if len(self._known) > _KEPT:
            self._forget()
        labels = {name: encoded(rows[name]) for name in s.COST.labels}
        _count(into, labels, self._costs(rows, labels))

    def record_lines(self, into: Aggregator, rows: pa.Table) -> None:
        """Feed rows of the model ``sessions``, each once: those of calls whose line somebody charges for."""
        charged = pa.array({s.PHONE, *self._lines}, pa.string())
        rows = rows.select(["bot", "channel", "duration_s"]).filter(pc.is_in(rows["channel"], charged))
        if not rows.num_rows:
            return
        labels = {"bot": rows["bot"], "component": "telephony", "provider": "", "model": rows["channel"]}
        rates = np.asarray([self._lines.get(channel, np.nan) for channel in rows["channel"].to_pylist()])
        _count(into, labels, np.round(_floats(rows["duration_s"]) / 60 * rates, 12))

    def _costs(self, rows: pa.Table, labels: Mapping[str, Encoded]) -> Floats:
        """USD of each operation; NaN where price or usage isn't known."""
        fresh, kept, output, request, second, character = self._prices_of(rows, labels)
        put, cached, out = (_floats(rows[f"{name}_tokens"]) for name in ("input", "cached_input", "output"))
        cached = np.nan_to_num(cached)
        out = np.where(np.isnan(out) & (output == 0), 0.0, out)
        told = np.maximum(put - cached, 0) * fresh + np.minimum(cached, put) * kept + out * output + request
        heard = _floats(rows["audio_s"]) * second
        spoken = _floats(rows["characters"]) * character
        components = labels["component"]
        kinds = np.asarray([("llm", "stt", "tts").index(text) for text in components.texts])[components.codes]
        return np.round(np.choose(kinds, (told, heard, np.where(np.isnan(spoken), heard, spoken))), 12)

    def _prices_of(self, rows: pa.Table, labels: Mapping[str, Encoded]) -> Floats:
        """The prices of each operation, one row for each of ``_USD``; NaN where it isn't sold so."""
        names = [labels[name] for name in ("component", "provider", "model")]
        codes = np.zeros(rows.num_rows, np.int64)
        for one in names:
            codes = codes * len(one.texts) + one.codes
        _, firsts, of = np.unique(codes, return_index=True, return_inverse=True)
        found = [self._known_of(*(one.texts[one.codes[first]] for one in names)) for first in firsts.tolist()]
        plain = [len(prices) == 1 and prices[0][1].always for prices in found]
        places = np.asarray([prices[0][0] if one else 0 for one, prices in zip(plain, found, strict=True)])[of]
        for number, prices in enumerate(found):
            if not plain[number]:
                chosen = np.flatnonzero(of == number)
                places[chosen] = _by_day_and_length(rows.take(pa.array(chosen)), prices)
        columns: Floats = self._usd[places].T
        return columns

    def _known_of(self, component: str, provider: str, model: str) -> list[tuple[int, Price]]:
        """The prices of a service, with their places in the table."""
        service = Service(component, provider or None, model or None)
        known = self._known.get(service)
        if known is None:
            prices = self._look_up(service)
            known = self._known[service] = list(enumerate(prices, len(self._table)))
            self._table += [_usd(price) for price in prices]
            self._usd = np.asarray(self._table)
            if not self._listed and any(price.source == LIBRARY for price in prices):
                self._listed = True
                name, day = listing()
                self._tell(name, day)
        return known

    def _look_up(self, service: Service) -> list[Price]:
        try:
            return self._prices.of([service])
        except Exception as error:  # noqa: BLE001 - turns are worth more than what they cost
            self._metrics.contained("prices", error)
            return []

    def _tell(self, source: str, day: date | None) -> None:
        if day is not None:
            self._metrics.set(s.PRICES_DATE, datetime.combine(day, time(), UTC).timestamp(), source)


def _usd(price: Price) -> list[float]:
    return [np.nan if (usd := getattr(price, name)) is None else usd for name in _USD]


def _by_day_and_length(rows: pa.Table, prices: list[tuple[int, Price]]) -> NDArray[np.int64]:
    """Which of a service's prices holds for each of its operations, by its day and the length of its prompt."""
    moments = rows["start_time"].combine_chunks().cast(pa.timestamp("us", "UTC")).view(pa.int64()).to_numpy()
    tokens = np.nan_to_num(_floats(rows["input_tokens"]))
    places = np.zeros(rows.num_rows, np.int64)
    for place, price in prices:
        since, until = (round(one.timestamp() * 1e6) for one in (price.since_time, price.until_time))
        holds = (moments >= since) & (moments < until) & (tokens >= price.from_tokens) & (tokens < price.to_tokens)
        places[holds] = place
    return places


def _floats(column: pa.ChunkedArray) -> Floats:
    """The values; NaN where null."""
    filled = pc.fill_null(pc.cast(column, pa.float64(), safe=False), np.nan)
    return np.asarray(filled.to_numpy(), np.float64)


def _count(into: Aggregator, labels: Mapping[str, object], usd: Floats) -> None:
    into.count(s.COST, labels, pa.chunked_array([pa.array(usd)]))
    priced = pa.array(("true", "false"), pa.string()).take(pa.array(np.isnan(usd).astype(np.int8)))
    by = {name: labels[name] for name in ("bot", "component")}
    into.count(s.COST_OPERATIONS, {**by, "priced": pa.chunked_array([priced])}, rows=len(usd))
