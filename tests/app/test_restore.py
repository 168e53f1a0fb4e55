"""A service that is killed in the middle of calls: the next one ends them as if nothing had been."""

import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import wire
from bench.generate import calls
from otel_voicebot import semconv as s
from otel_voicebot.store import snapshot
from tests.app.served import Served

_NOT_SUMMED = (
    "voicebot_requests",
    "voicebot_queue",
    "voicebot_sessions_active",
    "voicebot_kpis_",
    "voicebot_fcr_",
    "voicebot_speech_",
    "voicebot_prices_",
)


@dataclass(frozen=True)
class Outcome:
    """What a run left: rows of both tables, and counters, summed over the processes."""

    turns: dict[tuple[Any, ...], dict[str, Any]]
    sessions: dict[tuple[Any, ...], dict[str, Any]]
    counters: Counter[tuple[str, tuple[tuple[str, str], ...]]]


def _calls() -> list[list[wire.Span]]:
    """Calls of every kind: with turns, without, of which only some spans name the session."""
    made = [list(call.spans) for call in calls(600, seed=7)]
    made[1] = [_without(span, s.TURN_INDEX) for span in made[1]]
    made[2] = [_without(span, s.SESSION_ID) for span in made[2]]
    # only its last turns and its end name the session
    made[3] = [
        _without(span, s.SESSION_ID) if place < len(made[3]) // 2 else span for place, span in enumerate(made[3])
    ]
    return made


def _without(span: wire.Span, key: str) -> wire.Span:
    return span._replace(attributes={name: value for name, value in span.attributes.items() if name != key})


def _cut(made: Sequence[list[wire.Span]]) -> tuple[list[wire.Span], list[wire.Span]]:
    """Spans before and after the kill: each call is cut elsewhere, the first is over, the last not begun."""
    before, after = [], []
    for number, spans in enumerate(made):
        place = len(spans) * (len(made) - 1 - number) // (len(made) - 1)
        before += spans[:place]
        after += spans[place:]
    # a part of a turn that was counted comes late
    late = next(span for span in made[4] if span.name.startswith("chat") and span in before)
    before.remove(late)
    return before, [late, *after]


def _settled(served: Served) -> None:
    """Wait until nothing is counted any more for longer than the grace of operations, turns and sessions."""
    import time

    last, since = served.metrics(), time.monotonic()
    while time.monotonic() - since < 8:
        time.sleep(0.5)
        now = served.metrics()
        if now != last:
            last, since = now, time.monotonic()


def _run(data: Path, *, killed: bool) -> Outcome:
    before, after = _cut(_calls())
    counters: Counter[Any] = Counter()
    served = Served(data)
    try:
        for part in (before[0::2], before[1::2]):
            served.export(part)
        _settled(served)
        if killed:
            counters.update(served.metrics())
            served.kill()
            served = Served(data)
        for part in (after[0::3], after[1::3], after[2::3]):
            served.export(part)
        _settled(served)
        counters.update(served.metrics())
    finally:
        served.kill()
    kept = {key: value for key, value in counters.items() if not key[0].startswith(_NOT_SUMMED)}
    return Outcome(
        _rows(data, "turns", "session_id", "turn_index"), _rows(data, "sessions", "session_id"), Counter(kept)
    )


def _rows(data: Path, table: str, *key: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The row of the highest revision by key, without what tells when and by whom it was written."""
    rows = sorted(snapshot(data, table).read().to_pylist(), key=lambda row: row["revision"])
    return {
        tuple(row[name] for name in key): {
            name: round(value, 9) if isinstance(value, float) else value
            for name, value in row.items()
            if name not in ("revision", "computed_at", "writer")
        }
        for row in rows
    }


def test_a_call_in_progress_at_a_kill_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    """Rows of turns and sessions are equal, and the counters of both processes add up to those of one."""
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(_run, tmp_path / str(killed), killed=killed) for killed in (False, True)]
        undisturbed, disturbed = (run.result() for run in runs)
    assert disturbed.sessions == undisturbed.sessions
    assert disturbed.turns == undisturbed.turns
    assert len(undisturbed.sessions) > 5
    assert disturbed.counters.keys() == undisturbed.counters.keys()
    different = {
        key: (value, disturbed.counters[key])
        for key, value in undisturbed.counters.items()
        if not math.isclose(value, disturbed.counters[key], rel_tol=1e-9, abs_tol=1e-9)
    }
    assert not different
