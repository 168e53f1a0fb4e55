"""One store for three engines, and how their answers are held against each other."""

import datetime as dt
import decimal
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench import generate
from otel_voicebot.app.ingest import ingest
from otel_voicebot.models.targets import DEFAULTS, as_rows, cache_rows
from otel_voicebot.processors import normalise, withhold
from otel_voicebot.receivers import payloads
from otel_voicebot.settings import Settings
from otel_voicebot.spans import decode
from otel_voicebot.store import SpanStore
from tests.models.twelve import PRICES, tables, take_in

__all__ = ["AS_OF", "COMPARED", "differences", "give", "store"]

AS_OF = dt.datetime(2026, 1, 5, 20, tzinfo=dt.UTC)

CAPTURES = Path(__file__).parents[1] / "data" / "captures"

COMPARED = (
    *("all_kpis", "wait_ends", "components", "outcomes", "errors", "cost_by_model", "cost_by_session", "agents"),
    *("services", "caches", "intents", "workflows", "compliance", "mos_kinds", "latencies", "load", "concurrency"),
    *("conversation", "speech", "drop_off", "journey", "bots", "adapters", "operations"),
)
"""The models of a report's sections, without those that cut waits."""


def store(directory: Path) -> Path:
    """The twelve calls, 3,000 generated spans, some of them twice, and the captures of frameworks."""
    data = take_in(directory, tables.lines())
    for capture in sorted(CAPTURES.glob("*.otlp.pb")):
        ingest(payloads(capture), Settings(data=data))
    requests = list(generate.requests(3000, seed=3))
    writer = SpanStore(data)
    for payload in [*requests, requests[0]]:
        writer.commit([withhold(normalise(decode(payload)), ()).rows(1_767_600_000_000_000)])
    return data


def give(engine: Any) -> None:
    """Prices and targets."""
    PRICES.give(engine)
    engine.give("targets", as_rows(DEFAULTS))
    engine.give("cache_targets", cache_rows(DEFAULTS))


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dt.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return (aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    return value.hex() if isinstance(value, bytes) else value


def _rows(table: pa.Table, columns: Iterable[str]) -> list[tuple[Any, ...]]:
    rows = [tuple(map(_plain, row)) for row in zip(*(table[name].to_pylist() for name in columns), strict=True)]

    def key(row: tuple[Any, ...]) -> tuple[str, ...]:
        return tuple("" if one is None else f"{one:.6g}" if isinstance(one, float) else str(one) for one in row)

    return sorted(rows, key=key)


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, float) or isinstance(two, float):
        return one is not None and two is not None and math.isclose(one, two, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == two)


def differences(wanted: pa.Table, found: pa.Table) -> list[str]:
    """What differs: whole numbers, texts and times must be equal, others to 1e-9; the order of rows doesn't count."""
    columns = [name for name in wanted.column_names if name != "quality"]
    if missing := set(columns) - set(found.column_names):
        return [f"no column {name}" for name in sorted(missing)]
    if wanted.num_rows != found.num_rows:
        return [f"{wanted.num_rows} rows, and {found.num_rows}"]
    return [
        f"{name}: {one} and {two}"
        for left, right in zip(_rows(wanted, columns), _rows(found, columns), strict=True)
        for name, one, two in zip(columns, left, right, strict=True)
        if not _same(one, two)
    ]
