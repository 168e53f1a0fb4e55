"""The twelve calls of ``tests/data/kpis``, taken in as an operator would import them."""

import sys
from collections.abc import Iterable
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from otel_voicebot.app.ingest import ingest
from otel_voicebot.models import Engine, Selection, Terms
from otel_voicebot.models.price_file import read_prices
from otel_voicebot.models.pricing import Prices
from otel_voicebot.receivers import payloads
from otel_voicebot.settings import Settings
from otel_voicebot.store.reader import snapshot

HERE = Path(__file__).parents[1] / "data" / "kpis"
sys.path.insert(0, str(HERE))

import calls as tables  # noqa: E402 - scripts beside their data, which run alone
import recompute  # noqa: E402

__all__ = ["AS_OF", "HERE", "PRICES", "answers", "moved", "opened", "recompute", "tables", "take_in"]

AS_OF = datetime.fromisoformat(tables.AS_OF)
PRICES = Prices(read_prices(HERE / "prices.yaml"))


def take_in(data: Path, lines: Iterable[str]) -> Path:
    """Import OTLP JSON lines into a new directory below ``data``; returns it."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "spans.jsonl").write_text("".join(f"{line}\n" for line in lines))
    ingest(payloads(data / "spans.jsonl"), Settings(data=data / "store"))
    return data / "store"


def moved(call: str, start: str) -> list[str]:
    """The twelve calls, one of them begun at another time."""
    changed = [
        line.replace(line.split()[4], start) if line.split()[:1] == [call] else line
        for line in tables.CALLS.splitlines()
    ]
    return list(tables.lines("\n".join(changed)))


@contextmanager
def opened(store: Path, selection: Selection | None = None, **options: Any) -> Any:
    """An engine over a store, with prices, as of the evening that the tables name."""
    terms = Terms(as_of=options.pop("as_of", AS_OF))
    with Engine(snapshot(store), selection, terms=terms, **options) as engine:
        PRICES.give(engine)
        yield engine


def answers(engine: Engine) -> dict[str, tuple[object, ...]]:
    """(value, numerator, denominator, excluded, provisional) of every KPI."""
    fields = ("value", "numerator", "denominator", "excluded", "provisional")
    return {row["name"]: tuple(row[field] for field in fields) for row in engine.table("all_kpis").to_pylist()}
