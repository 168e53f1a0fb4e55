"""Does `anomalies` cry wolf on a quiet day, and how soon does it find what is there? Simulated days with a past.

Calls follow the day (a tenth at night of what comes at noon); values of a call resemble each other, are lognormal with
a heavy tail, drift with the time of day and with a provider's weather (a slow walk); failures come in clusters. One day
is the past, the next is judged, through the model ``anomaly_bins`` and the detector as the command uses them.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.compare import Rate
from bench.figures import Figure, Section
from otel_voicebot.models import MODELS
from otel_voicebot.reports.anomalies import Found, detect
from otel_voicebot.reports.detector import Rule
from otel_voicebot.reports.scope import Scope

__all__ = ["DAY_S", "EFFECTS", "FIRST", "Effect", "day", "judged", "run", "table"]

DAY_S: Final = 86_400
FIRST: Final = datetime(2026, 1, 5, tzinfo=UTC)
"""Monday, when the past begins; the judged day is Tuesday."""
_BOTS: Final = (("bank", 0.5), ("shop", 0.3), ("clinic", 0.2))
_SERVICES: Final = {
    "llm": (
        (("openai", "gpt-4o-mini"), 0.5, 0.5),
        (("anthropic", "claude-haiku"), 0.3, 0.7),
        (("groq", "llama-3.3-70b"), 0.2, 0.3),
    ),
    "tts": ((("elevenlabs", "flash_v2_5"), 0.6, 0.2), (("azure", "neural"), 0.4, 0.3)),
}
"""Provider and model, weight, median of the first chunk in seconds."""
_SIGMA: Final = 0.5
_CORRELATION: Final = 0.2
_TAIL: Final = 0.01
"""Of values: multiplied by a Pareto of index 1.5."""
_ERROR_RATE: Final = 0.02
_WEATHER: Final = 0.05
"""Standard deviation of a provider's slow walk, of the logarithm, with half an hour of memory."""
_DRIFT: Final = 0.05
"""By the time of day: so much slower at noon, and quicker at night."""
CALLS: Final = 5_000
"""A day."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Effect:
    """What goes wrong on the judged day, at the first LLM provider, for all bots.

    Attributes:
        measure: first_chunk_s or cost_usd (multiplied by ``size``), or error_rate (``size`` itself).
        size: how much.
        start_s: after midnight.
        minutes: how long.
    """

    measure: str
    size: float
    start_s: int = 11 * 3600
    minutes: int = 20


EFFECTS: Final = tuple(
    Effect(measure, size)
    for measure, sizes in {
        "first_chunk_s": (1.25, 1.5, 2.0),
        "error_rate": (0.05, 0.1, 0.15),
        "cost_usd": (1.5, 2.0),
    }.items()
    for size in sizes
)


def table(number: int, effect: Effect | None = None, calls: int = CALLS) -> pa.Table:
    """The bins of two days, seeded by ``number``."""
    connection = duckdb.connect(config={"threads": 1})
    parts = list(_observations(np.random.default_rng(number), effect, calls))
    connection.register("drawn", pa.concat_tables(parts))
    connection.execute(
        """CREATE VIEW observations AS SELECT measure::VARCHAR AS measure, bot::VARCHAR AS bot,
        component::VARCHAR AS component, provider::VARCHAR AS provider, model::VARCHAR AS model, NULL::VARCHAR AS agent,
        NULL::VARCHAR AS decision, session_id, start_nano, value FROM drawn"""
    )
    return connection.sql(MODELS["anomaly_bins"].text).to_arrow_table()


def judged(rows: pa.Table, rule: Rule | None = None) -> Found:
    """What is found on the second day."""
    since = datetime.fromtimestamp(FIRST.timestamp() + DAY_S, UTC)
    return detect(rows, Scope("simulated", since, since), rule or Rule())


def day(number: int, effect: Effect | None = None, calls: int = CALLS) -> Found:
    """One simulated day with its past."""
    return judged(table(number, effect, calls))


def _observations(generator: np.random.Generator, effect: Effect | None, calls: int) -> Iterator[pa.Table]:
    count = generator.poisson(2 * calls)
    at = np.sort(generator.integers(0, 2, count) * DAY_S + _times_of_day(generator, count))
    turns = generator.integers(4, 13, count)
    call = np.repeat(np.arange(count), turns)
    index = np.arange(len(call)) - np.repeat(np.cumsum(turns) - turns, turns)
    time = at[call] + index * 12.0
    bot = generator.choice(len(_BOTS), count, p=[weight for _, weight in _BOTS])[call]
    noon = np.cos((time / DAY_S % 1 - 0.5) * 2 * np.pi)
    for component, services in _SERVICES.items():
        service = generator.choice(len(services), count, p=[weight for _, weight, _ in services])[call]
        medians = np.array([median for _, _, median in services])
        weather = np.stack([_walk(generator) for _ in services])[service, (time // 300).astype(int)]
        hit = np.zeros(len(call), np.bool_)
        if effect and component == "llm":
            begin = DAY_S + effect.start_s
            hit = (service == 0) & (time >= begin) & (time < begin + 60 * effect.minutes)
        rate = np.where(hit, effect.size, _ERROR_RATE) if effect and effect.measure == "error_rate" else _ERROR_RATE
        slow = weather + _DRIFT * noon
        values = {
            "first_chunk_s": medians[service] * np.exp(slow) * _values(generator, call, count),
            "error_rate": _failures(generator, call, count, np.broadcast_to(rate, len(call))),
            "cost_usd": 1e-4 * (1 + 0.1 * index) * _values(generator, call, count),
        }
        for measure, value in values.items():
            if measure != "error_rate" and effect and effect.measure == measure:
                value = np.where(hit, value * effect.size, value)  # noqa: PLW2901 - the same value, worse
            yield _arrow(measure, component, bot, service, call, time, value)


def _times_of_day(generator: np.random.Generator, count: int) -> Floats:
    """Seconds; drawn by rejection."""
    drawn = generator.random(4 * count + 100) * DAY_S
    kept = drawn[generator.random(len(drawn)) < 0.55 + 0.45 * np.cos((drawn / DAY_S - 0.5) * 2 * np.pi)]
    return kept[:count]


def _walk(generator: np.random.Generator) -> Floats:
    """A provider's weather in steps of five minutes, and an hour beyond the two days."""
    keep = math.exp(-300 / 1800)
    shocks = generator.standard_normal(2 * 288 + 12) * _WEATHER * math.sqrt(1 - keep**2)
    walk = np.zeros(len(shocks))
    for at in range(1, len(shocks)):
        walk[at] = keep * walk[at - 1] + shocks[at]
    return walk


def _values(generator: np.random.Generator, call: Ints, count: int) -> Floats:
    """Around 1, correlated within a call, with a heavy tail."""
    shared = generator.standard_normal(count)[call] * math.sqrt(_CORRELATION)
    own = generator.standard_normal(len(call)) * math.sqrt(1 - _CORRELATION)
    tail = np.where(generator.random(len(call)) < _TAIL, 1 + generator.pareto(1.5, len(call)), 1.0)
    return np.exp(_SIGMA * (shared + own)) * tail


def _failures(generator: np.random.Generator, call: Ints, count: int, rate: Floats) -> Floats:
    """0 and 1; some calls fail more than others (a gamma of variance 1)."""
    prone = generator.gamma(1.0, 1.0, count)[call]
    return (generator.random(len(call)) < rate * prone).astype(float)


def _arrow(measure: str, component: str, bot: Ints, service: Ints, call: Ints, time: Floats, value: Floats) -> pa.Table:  # noqa: PLR0913, PLR0917 - a column each
    def named(codes: Ints, names: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(names)).cast(pa.string())

    services = [name for name, _, _ in _SERVICES[component]]
    same = np.zeros(len(call), np.int64)
    return pa.table(
        {
            "measure": named(same, [measure]),
            "bot": named(bot, [name for name, _ in _BOTS]),
            "component": named(same, [component]),
            "provider": named(service, [provider for provider, _ in services]),
            "model": named(service, [model for _, model in services]),
            "session_id": call,
            "start_nano": ((FIRST.timestamp() + time) * 1e9).astype(np.int64),
            "value": value,
        }
    )


def _delay(found: Found, effect: Effect) -> float | None:
    """Minutes from when it began to the end of the first bin that shows it; None where it isn't found."""
    begin = FIRST.timestamp() + DAY_S + effect.start_s
    until = begin + 60 * effect.minutes
    ends = [
        one.start.timestamp() + 60 * one.minutes
        for one in found.incidents
        if (one.series.measure, one.series.provider) == (effect.measure, _SERVICES["llm"][0][0][0])
        and one.start.timestamp() < until
        and one.end.timestamp() > begin
    ]
    return (min(ends) - begin) / 60 if ends else None


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """200 quiet days, and 50 with each effect; about 8 minutes on one core (quick: 2)."""
    quiet, each = (40, 10) if quick else (200, 50)
    tell(f"anomalies: {quiet} quiet days")
    days = [day(number) for number in range(quiet)]
    alarms = Rate(sum(bool(found.incidents) for found in days), quiet)
    rows: list[list[str | float]] = [["quiet", "", quiet, 100 * alarms.value, _interval(alarms), ""]]
    power = {}
    for effect in EFFECTS:
        tell(f"anomalies: {each} days with {effect.measure} {effect.size:g}")
        delays = [_delay(day(10_000 + number, effect), effect) for number in range(each)]
        known = [delay for delay in delays if delay is not None]
        power[effect] = Rate(len(known), each)
        delay = f"{float(np.median(known)):.0f}" if known else ""
        rows.append([effect.measure, effect.size, each, 100 * power[effect].value, _interval(power[effect]), delay])
    low, _ = alarms.interval
    figures = [
        Figure("quiet days with a false alarm", alarms.value, "", "<=", 0.05),
        Figure("the 99 % interval of it begins above the stated 1 % by", max(low - Rule().alpha, 0.0), "", "<=", 0),
        *(
            Figure(f"{effect.measure} {effect.size:g} for 20 minutes: found", power[effect].value, "", ">=", 0.95)
            for effect in EFFECTS
            if effect.size in (0.15, 2.0)
        ),
    ]
    bins = float(np.mean([found.bins for found in days]))
    notes = [
        f"{CALLS:,} calls a day, {days[0].series} series, {bins:,.0f} bins judged a day; delay: median of those found."
    ]
    columns = ["", "size", "days", "found %", "99 % interval", "delay min"]
    return Section("anomalies", "Simulated days with one day of past", columns, rows, figures, notes)


def _interval(rate: Rate) -> str:
    low, high = rate.interval
    return f"{100 * low:.1f} to {100 * high:.1f}"
