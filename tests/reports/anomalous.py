"""Generated calls of one afternoon, stored as Parquet, with or without something that goes wrong in them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench import generate
from otel_voicebot.processors import normalise, withhold
from otel_voicebot.spans import decode
from otel_voicebot.store import SpanStore

__all__ = ["MIDNIGHT", "Change", "at", "calls", "costlier", "failing", "slower", "stored"]

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
HOURS = 5
"""The day of the generator is pressed into so many."""

Change = Callable[[pa.Table, np.ndarray], pa.Table]
"""Changes the spans of a table that an array of bools chooses."""


def at(hour: float) -> datetime:
    """A time of the afternoon, in hours after its start."""
    return MIDNIGHT + timedelta(hours=hour)


def calls(spans: int, seed: int = 5) -> pa.Table:
    """The spans of generated calls, in form SPANS; calls begin within the five hours and last as long as they did."""
    payloads = generate.requests(spans, seed=seed)
    rows = pa.Table.from_batches([withhold(normalise(decode(payload)), ()).rows(0) for payload in payloads])
    trace = rows["trace_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    start = rows["start_unix_nano"].to_numpy()
    begin = np.full(trace.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(begin, trace, start)
    shift = pa.array((((begin - generate.EPOCH) * HOURS // 24) + generate.EPOCH - begin)[trace])
    for name in rows.column_names:
        if name.endswith("_unix_nano"):
            rows = _put(rows, name, pc.add(rows[name], shift))
    return _put(rows, "start_time", pc.divide(rows["start_unix_nano"], 1000).cast(pa.timestamp("us", "UTC")))


def stored(data: Path, spans: pa.Table, change: Change | None = None, during: tuple[float, float] = (4, 5)) -> Path:
    """Put the spans into a store, those of gpt-4o-mini at the bank that begin in these hours changed."""
    if change is not None:
        model, bot = (pc.equal(spans[name], value) for name, value in (("model", "gpt-4o-mini"), ("bot", "bank")))
        time = spans["start_time"]
        then = pc.and_(pc.greater_equal(time, pa.scalar(at(during[0]))), pc.less(time, pa.scalar(at(during[1]))))
        chosen = pc.fill_null(pc.and_(pc.and_(model, bot), then), fill_value=False)
        spans = change(spans, chosen.combine_chunks().to_numpy(zero_copy_only=False))
    SpanStore(data).commit(spans.to_batches())
    return data


def slower(factor: float) -> Change:
    """The first chunk takes so many times as long."""
    return lambda rows, chosen: _multiplied(rows, "time_to_first_chunk_s", factor, chosen)


def costlier(factor: float) -> Change:
    """Prompts and answers are so many times as long."""
    return lambda rows, chosen: _multiplied(
        _multiplied(rows, "input_tokens", factor, chosen), "output_tokens", factor, chosen
    )


def failing(rate: float, error: str = "overloaded") -> Change:
    """So many of the operations fail, beside those that did anyway."""

    def change(rows: pa.Table, chosen: np.ndarray) -> pa.Table:
        failed = chosen & (np.random.default_rng(1).random(len(chosen)) < rate)
        for name, value in (("status", "error"), ("error_type", error)):
            values = pc.if_else(pa.array(failed), value, rows[name].cast(pa.string()))
            rows = _put(rows, name, values.cast(rows.schema.field(name).type))
        return rows

    return change


def _multiplied(rows: pa.Table, name: str, factor: float, chosen: np.ndarray) -> pa.Table:
    larger = pc.multiply(rows[name].cast(pa.float64()), factor)
    kind = rows.schema.field(name).type
    if pa.types.is_integer(kind):
        larger = pc.round(larger)
    return _put(rows, name, pc.if_else(pa.array(chosen), larger.cast(kind), rows[name]))


def _put(rows: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, rows.schema.field(name), values)
