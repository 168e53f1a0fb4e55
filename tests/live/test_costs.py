"""B2, C2: what the live state counts as costs is what the models say, for each service and in all."""

from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest

from otel_voicebot import semconv as s
from otel_voicebot.live import Aggregator, Live
from otel_voicebot.live.costs import Costing
from otel_voicebot.live.rows import operations_of
from otel_voicebot.models.prepared import NARROW, Prepared
from otel_voicebot.models.pricing import Prices
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.receivers import payloads
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import decode
from tests.models.calls import batch, engine, nano, span
from tests.models.test_pricing import FILE, MIXED
from tests.models.twelve import HERE, PRICES, opened, tables, take_in

LISTED = {"provider": "openai", "model": "gpt-4o-mini"}
LONG_AGO = nano(0) - 3 * 365 * 86_400 * 10**9
CALL = [
    *MIXED,
    span("llm", 20, 21, 2, input_tokens=1_000, cached_input_tokens=400, output_tokens=50, **LISTED),
    span("llm", 21, 22, 2, input_tokens=1_000, cached_input_tokens=4_000, output_tokens=50, **LISTED),
    span("llm", 22, 23, 2, output_tokens=50, cached_input_tokens=9, **LISTED),  # of an unknown prompt
    span("llm", 23, 24, 2, input_tokens=1_000, output_tokens=0, provider="deepseek", model="deepseek-chat"),
    span("llm", 24, 25, 2, input_tokens=9, output_tokens=9, provider="anthropic", model="claude-3-opus-latest"),
    span("stt", 25, 26, 2, provider="nobody", audio_s=3.0),
    span("cache", 26, 27, 2, cache_hit=True),
    # an instrumented client tells the tokens of the call around it, and how many were cached
    span("llm", 30, 32, 2, id=900, provider="openai", output_tokens=50),
    span("llm", 30, 31, 2, id=901, parent=900, input_tokens=2_000, cached_input_tokens=500, output_tokens=9, **LISTED),
    # the price of o3 has changed since
    span("llm", 27, 28, 2, input_tokens=1_000, output_tokens=7, provider="openai", model="o3"),
    span(
        "llm",
        28,
        29,
        2,
        start_time=LONG_AGO // 1000,
        input_tokens=1_000,
        output_tokens=7,
        provider="openai",
        model="o3",
    ),
]


def counted(aggregator: Aggregator, metric: s.Metric) -> dict[tuple[str, ...], float]:
    """The series of a counter."""
    return {key: one.total for key, one in aggregator.read().get(metric.name, {}).items()}


def test_live_costs_equal_the_model(tmp_path: Path) -> None:
    """Prices of file and list, by day and length of prompt, cached tokens, what is unknown, attempts in an attempt."""
    prices = Prices(FILE)
    models, aggregator = Prepared(), Aggregator()
    rows = pa.Table.from_batches([batch(CALL).select(NARROW.names)])
    models.load(rows)
    costing = Costing(prices, SelfMetrics())
    operations = operations_of(rows, models.nested(), models.lent())
    for part in (operations.slice(0, 5), operations.slice(5)):  # tick by tick
        costing.record_operations(aggregator, part)
    expected: dict[tuple[str, ...], float] = {}
    things: dict[tuple[str, ...], float] = defaultdict(float)
    with engine(tmp_path, *CALL) as batch_models:
        prices.give(batch_models)
        query = (
            "SELECT bot, component, provider, model, cost_usd::DOUBLE AS usd FROM costs WHERE component <> 'telephony'"
        )
        for row in batch_models.sql(query).to_pylist():
            key = tuple(row[name] or "" for name in s.COST.labels)
            things[row["bot"], row["component"], "false" if row["usd"] is None else "true"] += 1
            if row["usd"] is not None:
                expected[key] = expected.get(key, 0) + row["usd"]
        split = batch_models.sql("SELECT count(*) AS n FROM prices WHERE model = 'o3'").to_pylist()
    assert split[0]["n"] > 1
    assert counted(aggregator, s.COST) == pytest.approx(expected, rel=1e-12)
    assert counted(aggregator, s.COST_OPERATIONS) == things
    # an answer or a prompt of unknown length, a model that nobody lists, one that is dearer at some hours
    assert things["bank", "llm", "false"] == 4


def test_what_senders_make_up_is_forgotten_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many services are named, so many prices are remembered; those forgotten are looked up again."""
    monkeypatch.setattr("otel_voicebot.live.costs._KEPT", 3)
    costing, aggregator = Costing(Prices(FILE), SelfMetrics()), Aggregator()
    for tick in range(8):
        rows = [span("llm", 1, 2, 1, model=f"made up {tick}"), span("stt", 1, 2, 1, provider="deepgram", audio_s=2.0)]
        costing.record_operations(aggregator, operations_of(pa.Table.from_batches([batch(rows)])))
        assert len(costing._known) <= 5
    assert counted(aggregator, s.COST) == {("bank", "stt", "deepgram", ""): 8.0}
    assert counted(aggregator, s.COST_OPERATIONS) == {("bank", "llm", "false"): 8, ("bank", "stt", "true"): 8}


def test_a_list_of_prices_that_fails_costs_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the library would have priced is counted as unpriced, the failure is counted, and the file's prices hold."""

    def broken() -> None:
        raise RuntimeError

    monkeypatch.setattr("genai_prices.data_snapshot.get_snapshot", broken)
    metrics, aggregator = SelfMetrics(), Aggregator()
    costing = Costing(Prices(FILE), metrics)
    rows = [span("llm", 1, 2, 1, **LISTED), span("stt", 1, 2, 1, provider="deepgram", audio_s=2.0)]
    costing.record_operations(aggregator, operations_of(pa.Table.from_batches([batch(rows)])))
    assert counted(aggregator, s.COST_OPERATIONS) == {("bank", "llm", "false"): 1, ("bank", "stt", "true"): 1}
    assert metrics.get(s.SELF_FAILURES, "prices") == 1


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the twelve calls."""
    return take_in(tmp_path_factory.mktemp("twelve"), tables.lines())


@pytest.mark.parametrize("chunks", [1, 40])
def test_the_scraped_sum_is_the_reports_cost(twelve: Path, chunks: int) -> None:
    """The twelve calls through the live state, at once or in pieces: cost and priced share are the report's."""
    aggregator, metrics = Aggregator(), SelfMetrics()
    live = Live(aggregator, metrics, lambda _table, _rows: None, prices=PRICES)
    requests = payloads(HERE / "spans.jsonl")
    batches = [prepare(decode(one.payload), Policy(), metrics, "test", 0) for one in requests]
    rows = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    size = -(-rows.num_rows // chunks)
    for begin in range(0, rows.num_rows, size):
        live.add(rows.slice(begin, size))
    live.tick(drain=True)
    live.close()
    with opened(twelve, brief=True) as models:
        kpis = {row["name"]: row for row in models.table("cost_kpis").to_pylist()}
        lines = models.sql("SELECT channel, sum(cost_usd)::DOUBLE AS usd FROM lines GROUP BY channel").to_pylist()
    costs, things = counted(aggregator, s.COST), counted(aggregator, s.COST_OPERATIONS)
    assert sum(costs.values()) == pytest.approx(kpis["cost_usd"]["value"], rel=1e-9)
    priced = sum(value for key, value in things.items() if key[-1] == "true")
    share = kpis["priced_share"]
    assert (priced, sum(things.values())) == (share["numerator"], share["denominator"])
    assert {key[3]: usd for key, usd in costs.items() if key[1] == "telephony"} == pytest.approx(
        {row["channel"]: row["usd"] for row in lines}
    )
    assert metrics.read()[s.PRICES_DATE.name, "price file"] == 1_772_323_200  # 1 March 2026
