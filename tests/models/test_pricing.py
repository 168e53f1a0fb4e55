"""Prices: those of genai-prices as the library itself applies them, and those of a user's file."""

import json
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot

from otel_voicebot.errors import UsageError
from otel_voicebot.models import Engine, Terms
from otel_voicebot.models.price_file import PriceFile, read_prices
from otel_voicebot.models.pricing import Price, Prices, Service
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot
from tests.models.calls import NOON, Row, batch, span

USAGES = ((0, 0, 0), (1000, 0, 100), (1000, 400, 100), (100_000, 0, 10), (100_001, 0, 10), (250_000, 200_000, 999))
"""Input tokens, of them from the provider's cache, output tokens."""


def applied(rows: list[Price], usage: tuple[int, int, int], when: datetime) -> float | None:
    """What the model ``costs`` makes of these rows, in plain Python."""
    fresh, cached, output = usage
    for row in rows:
        if row.since_time <= when < row.until_time and row.from_tokens <= fresh < row.to_tokens:
            assert row.input_usd is not None and row.cached_usd is not None  # noqa: PT018 - for the type checker
            usd = (fresh - cached) * row.input_usd + cached * row.cached_usd + output * (row.output_usd or 0)
            return usd + (row.request_usd or 0)
    return None


def test_every_model_costs_what_genai_prices_says() -> None:
    """All its models that sell text by the token, at several lengths and before and after each change of a price."""
    checked = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            rows = Prices().of([Service("llm", provider.id, model.id)])
            if not rows:  # unknown by that name, or not sold by the token, or by the hour of the day
                continue
            starts = sorted({row.since_time for row in rows})[1:]
            moments = [NOON, *(day + shift for day in starts for shift in (-timedelta(seconds=1), timedelta(0)))]
            # the model that the name finds may be another one, as for aliases; text alone: no search, no image
            _, found = get_snapshot().find_provider_model(model.id, None, provider.id, None)
            for when in moments:
                told = found.get_prices(when)
                for fresh, cached, output in USAGES:
                    usage = Usage(input_tokens=fresh, cache_read_tokens=cached, output_tokens=output)
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        try:
                            wanted = float(told.calc_price(usage)["total_price"])
                        except ValueError:  # it prices a part of the input that it has no price for the whole of
                            continue
                    assert applied(rows, (fresh, cached, output), when) == pytest.approx(wanted, rel=1e-12), model.id
                    checked += 1
    assert checked > 5_000


def test_what_is_dearer_at_some_hours_has_no_price() -> None:
    """A price by the time of day can't be told from a row of dates: it is unknown rather than wrong."""
    clocked = [
        Service("llm", provider.id, model.id)
        for provider in get_snapshot().providers
        for model in provider.models
        if isinstance(model.prices, list) and any(hasattr(one.constraint, "start_time") for one in model.prices)
    ]
    assert clocked
    assert Prices().of(clocked) == []


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini-2024-07-18"),
        ("azure.ai.openai", "gpt-4o"),
        ("azure.ai.inference", "gpt-4o"),
        ("aws.bedrock", "anthropic.claude-sonnet-4-20250514-v1:0"),
        ("gcp.vertex_ai", "gemini-2.5-flash"),
        ("gcp.gen_ai", "gemini-2.5-flash"),
        ("mistral_ai", "mistral-large-latest"),
        ("x_ai", "grok-3"),
    ],
)
def test_opentelemetrys_names_of_providers_have_prices(provider: str, model: str) -> None:
    """Instrumentations write `gen_ai.provider.name` by the convention, not as genai-prices calls them."""
    assert Prices().of([Service("llm", provider, model)])


def test_a_model_that_nobody_knows_has_no_price() -> None:
    """Neither has one whose name isn't told, nor a known model at a provider that isn't known to sell it."""
    unknown = [("nobody", "nothing"), ("openai", None), ("nobody", "gpt-4o"), (None, None)]
    assert Prices().of(Service("llm", provider, model) for provider, model in unknown) == []


FILE = PriceFile.model_validate(
    {
        "date": "2026-03-01",
        "stt": [
            {"provider": "deepgram", "per_second": 0.5},
            {"provider": "Deepgram", "model": "nova-3", "per_second": 0.25},
        ],
        "tts": [{"model": "slow", "per_second": 2.0}, {"provider": "cartesia", "per_character": 0.125}],
        "llm": [
            {"provider": "openai", "model": "gpt-4o", "per_million_input": 1_000_000, "per_million_output": 2_000_000}
        ],
        "telephony": [{"channel": "phone", "per_minute": 6.0}],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("service", "field", "usd"),
    [
        (Service("stt", "deepgram", "nova-2"), "second_usd", 0.5),
        (Service("stt", "deepgram", "nova-3"), "second_usd", 0.25),
        (Service("stt", "other", "nova-3"), "second_usd", None),
        (Service("stt", None, None), "second_usd", None),
        (Service("tts", "anyone", "slow"), "second_usd", 2.0),
        (Service("tts", "cartesia", None), "character_usd", 0.125),
        (Service("llm", "openai", "gpt-4o"), "input_usd", 1.0),
    ],
)
def test_the_closest_entry_of_the_file_counts(service: Service, field: str, usd: float | None) -> None:
    """Provider and model beat one of them; case doesn't count; what the file doesn't name has no price in it."""
    rows = Prices(FILE).of([service])
    assert [getattr(row, field) for row in rows] == ([] if usd is None else [usd])


PROVIDED = {"provider": "openai", "model": "gpt-4o"}
CALL: list[Row] = [
    span("session", 0, 60, channel="phone"),
    span("stt", 1, 2, 1, provider="deepgram", model="nova-3", audio_s=4.0),
    span("stt", 2, 3, 1, provider="deepgram", model="nova-3"),
    span("llm", 3, 4, 1, id=70, input_tokens=10, cached_input_tokens=4, output_tokens=2, **PROVIDED),
    span("llm", 3, 3.5, 1, id=71, parent=70, input_tokens=10, output_tokens=2, **PROVIDED),
    span("llm", 5, 6, 1, input_tokens=10, **PROVIDED),
    span("tts", 6, 7, 1, provider="cartesia", model="sonic", characters=8),
    span("tts", 7, 8, 1, provider="unheard", model="of", characters=8),
]


def test_what_has_no_price_or_no_usage_is_null_and_counted(tmp_path: Path) -> None:
    """A cost says how much it leaves out; an attempt inside a model call isn't paid twice."""
    SpanStore(tmp_path).commit([batch(CALL)])
    with Engine(snapshot(tmp_path), brief=True, terms=Terms(as_of=NOON)) as engine:
        unpriced = engine.sql("SELECT value, excluded FROM cost_kpis WHERE name = 'cost_usd'").to_pylist()
        assert Prices(FILE).give(engine) == "prices from a price file of 2026-03-01"
        costs = engine.sql("SELECT component, cost_usd::DOUBLE AS usd FROM costs ORDER BY ALL").to_pylist()
        kpis = {row["name"]: (row["value"], row["excluded"]) for row in engine.table("cost_kpis").to_pylist()}
    assert unpriced == [{"value": None, "excluded": 7}]
    assert [tuple(row.values()) for row in costs] == [
        ("llm", 14.0),
        ("llm", None),  # it doesn't tell what it wrote
        ("stt", 1.0),
        ("stt", None),  # it doesn't tell how much it heard
        ("telephony", 6.0),
        ("tts", 1.0),
        ("tts", None),  # nobody knows its price
    ]
    assert kpis["cost_usd"] == (22.0, 3)
    assert kpis["priced_share"] == (4 / 7, 0)


@pytest.mark.parametrize("name", ["prices.yaml", "prices.json"])
def test_a_price_file_is_yaml_or_json(tmp_path: Path, name: str) -> None:
    """Both forms give the same prices, also where JSON writes 3e-05, which YAML would take for a text."""
    path = tmp_path / name
    told = {"date": "2026-03-01", "telephony": [{"channel": "phone", "per_minute": 3e-05}]}
    path.write_text(
        json.dumps(told)
        if name.endswith("json")
        else "date: 2026-03-01\ntelephony:\n  - {channel: phone, per_minute: 0.00003}\n"
    )
    found = read_prices(path)
    assert (str(found.date), found.telephony[0].per_minute) == ("2026-03-01", 3e-05)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("date: 2026-03-01\nstt:\n  - {per_second: -1}", "stt[0].per_second: -1: Input should be greater than"),
        ("date: 2026-03-01\nstt:\n  - {per_second: x}", "stt[0].per_second: 'x': Input should be a valid number"),
        ("date: 2026-03-01\nstt:\n  - {per_second: .nan}", "stt[0].per_second: nan: Input should be a finite number"),
        ("date: 2026-03-01\nstt:\n  - {per_minute: 1}", "stt[0].per_second: Field required"),
        (
            "date: 2026-03-01\nstt:\n  - {provider: A, per_second: 1}\n  - {provider: a, per_second: 2}",
            "stt has two prices of provider a, model any",
        ),
        ("date: 2026-03-01\nstt:\n  - {per_second: 1.0e+300}", "stt[0].per_second: 1e+300: Input should be less than"),
        ("date: 2026-03-01\ntts:\n  - {provider: x}", "tts[0]: needs either per_character or per_second"),
        ("date: soon", "date: 'soon': Input should be a valid date"),
        ("stt: []", "date: Field required"),
        ("date: 2026-03-01\nsst: []", "sst: Extra inputs are not permitted"),
        ("- 1", "holds no fields; it needs date"),
        ("a: [", "neither YAML nor JSON"),
    ],
)  # fmt: skip
def test_a_wrong_price_file_is_refused_by_field_and_value(tmp_path: Path, text: str, says: str) -> None:
    """One sentence that names the file, the field, the value and what is allowed."""
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_prices(path)
    assert str(refused.value).startswith(f"price file {path}: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_price_file_is_named(tmp_path: Path) -> None:
    """What isn't there can't be read, and the sentence says which."""
    with pytest.raises(UsageError, match=r"prices\.yaml: can't be read: No such file"):
        read_prices(tmp_path / "prices.yaml")


def test_the_day_of_listed_prices_is_told(tmp_path: Path) -> None:
    """Where a model is priced by genai-prices a report says its version and its latest change up to today."""
    SpanStore(tmp_path).commit([batch(CALL)])
    with Engine(snapshot(tmp_path), brief=True, terms=Terms(as_of=NOON)) as engine:
        told = Prices().give(engine)
        cost = engine.sql("SELECT sum(cost_usd)::DOUBLE AS usd FROM costs WHERE component = 'llm'").to_pylist()
    assert told.startswith("prices from genai-prices ")
    latest = datetime.fromisoformat(told.partition("latest change ")[2].rstrip(")")).replace(tzinfo=UTC)
    assert latest <= datetime.now(UTC)
    # $2.50, $1.25 and $10 a million
    assert cost[0]["usd"] == pytest.approx((6 * 2.5 + 4 * 1.25 + 2 * 10) / 1e6)


MIXED = [
    *CALL,
    span("llm", 8, 9, 1, input_tokens=10, provider="openai", model="free answers"),
    span("llm", 9, 10, 1, input_tokens=200_001, output_tokens=7, provider="google", model="gemini-2.5-pro"),
    span("llm", 10, 11, 1, input_tokens=5, output_tokens=7, provider="google", model="gemini-2.5-pro"),
    span("tts", 11, 12, 1, provider="slow", model="slow", characters=3, audio_s=1.5),
    span("tts", 12, 13, 1, provider="slow", model="slow", characters=3),
]


def test_the_total_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    """Services with one price are summed first and priced then; it is what their operations cost one by one."""
    free = {"provider": "openai", "model": "free answers", "per_million_input": 1.0, "per_million_output": 0}
    file = FILE.model_copy(
        update={"llm": (*FILE.llm, *PriceFile.model_validate({"date": "2026-03-01", "llm": [free]}).llm)}
    )
    SpanStore(tmp_path).commit([batch(MIXED)])
    with Engine(snapshot(tmp_path), brief=True, terms=Terms(as_of=NOON)) as engine:
        Prices(file).give(engine)
        query = "SELECT sum(cost_usd)::DOUBLE AS usd, count(cost_usd) AS priced, count(*) AS things FROM costs"
        (parts,) = engine.sql(query).to_pylist()
        rows = engine.sql("SELECT count(*) AS n FROM prices WHERE model = 'gemini-2.5-pro'").to_pylist()
        kpis = {row["name"]: row for row in engine.table("cost_kpis").to_pylist()}
    assert rows[0]["n"] > 1
    assert (parts["things"], parts["priced"]) == (12, 8)
    assert kpis["cost_usd"]["value"] == pytest.approx(parts["usd"], rel=1e-12)
    assert (kpis["priced_share"]["numerator"], kpis["priced_share"]["denominator"]) == (8, 12)
