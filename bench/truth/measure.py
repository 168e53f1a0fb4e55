"""What the models say of generated exchanges, through the package's own door, and how far it is from the truth."""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import wire
from bench.truth.exchange import Exchange
from bench.truth.graph import Part
from bench.truth.native import Told, World
from otel_voicebot.models import Engine
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import decode
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot

__all__ = [
    "Judged",
    "Row",
    "cut",
    "judged",
    "largest",
    "misplaced",
    "moved",
    "rows_of_request",
    "shares",
    "spent",
    "summary",
]

Row = dict[str, Any]
_STAGED: Final = frozenset({"stt_tail", "nlu", "rag", "tool", "llm_first_token", "llm_speakable", "tts_first_audio"})
"""Segments that are a stage's, so that the stage has to be the right one, too."""
_QUERY: Final = "SELECT * EXCLUDE (wait) FROM segments ORDER BY session_id, turn_index, position"


def rows_of_request(request: bytes) -> Any:
    """The spans of an OTLP request as the store takes them."""
    return prepare(decode(request), Policy(), SelfMetrics(), "otlp", 0)


def asked(request: bytes, *queries: str) -> list[list[Row]]:
    """The answers of the engine to queries over these spans, which the real store has written and reads."""
    with tempfile.TemporaryDirectory() as data:
        SpanStore(Path(data)).commit([rows_of_request(request)])
        with Engine(snapshot(Path(data))) as engine:
            return [engine.sql(query).to_pylist() for query in queries]


def cut(made: World, keep: Callable[[wire.Span], bool] = lambda _: True) -> dict[tuple[str, int], list[Row]]:
    """The segments of each exchange, in order, as the models give them."""
    found: dict[tuple[str, int], list[Row]] = {}
    for row in asked(made.request(keep), _QUERY)[0]:
        found.setdefault((row["session_id"], row["turn_index"]), []).append(row)
    return found


@dataclass(frozen=True)
class Judged:
    """An exchange and what was said of it.

    Attributes:
        parts: the segments, times after the caller's end of speech, with the stages that they were given to.
        misplaced: nanoseconds of the wait in which a wrong segment or stage was named.
        moved: nanoseconds that a wrong segment or stage was given; where clocks differ, a stage that only lies
            elsewhere keeps its time.
    """

    told: Told
    parts: list[Part]
    misplaced: int
    moved: int

    @property
    def exchange(self) -> Exchange:
        """What really happened."""
        return self.told.exchange


def judged(made: World, found: Mapping[tuple[str, int], Sequence[Row]]) -> list[Judged]:
    """Every exchange beside its truth; one that is missing was given no segments at all."""
    return [_judge(told, found.get((told.session, told.turn), ())) for told in made.told]


def _judge(told: Told, rows: Sequence[Row]) -> Judged:
    keys = {span: stage.key for span, stage in told.stages.items()}
    parts = [
        Part(
            row["start_nano"] - told.t0,
            row["end_nano"] - told.t0,
            row["segment"],
            None if row["span_id"] is None else keys.get(row["span_id"], "another's"),
        )
        for row in rows
    ]
    truth = told.exchange.truth
    return Judged(told, parts, misplaced(truth, parts), moved(truth, parts))


def _cause(part: Part) -> tuple[str, str | None]:
    return part.segment, part.stage if part.segment in _STAGED else None


def misplaced(truth: Sequence[Part], parts: Sequence[Part]) -> int:
    """Nanoseconds of the true wait in which another cause was named than the true one, or none."""
    right = sum(
        max(0, min(true.end, part.end) - max(true.start, part.start))
        for true in truth
        for part in parts
        if _cause(true) == _cause(part)
    )
    return sum(true.end - true.start for true in truth) - right


def moved(truth: Sequence[Part], parts: Sequence[Part]) -> int:
    """Nanoseconds by which causes were given more than they truly took."""
    true, given = spent(truth), spent(parts)
    return sum(max(0, time - true.get(cause, 0)) for cause, time in given.items())


def spent(parts: Iterable[Part]) -> dict[tuple[str, str | None], int]:
    """Nanoseconds by cause."""
    total: dict[tuple[str, str | None], int] = {}
    for part in parts:
        total[_cause(part)] = total.get(_cause(part), 0) + part.end - part.start
    return total


def blamed(one: Judged, causes: Iterable[tuple[str, str | None]]) -> int:
    """Nanoseconds that were put down to any of these segments and stages; None is any stage."""
    named = set(causes)
    return sum(
        part.end - part.start
        for part in one.parts
        if (part.segment, part.stage) in named or (part.segment, None) in named
    )


def largest(parts: Iterable[Part]) -> tuple[str, str | None] | None:
    """The cause with the most time."""
    total = spent(parts)
    return max(total, key=lambda cause: total[cause]) if total else None


def shares(all_: Iterable[Judged]) -> dict[str, float]:
    """Of the whole wait, the share of each segment."""
    total: dict[str, int] = {}
    for one in all_:
        for part in one.parts:
            total[part.segment] = total.get(part.segment, 0) + part.end - part.start
    wait = sum(total.values())
    return {segment: time / wait for segment, time in total.items()}


@dataclass(frozen=True)
class Summary:
    """Of some exchanges: the share of the wait that was given to a wrong cause, and of an exchange the ms of it."""

    exchanges: int
    share: float
    p95: float
    p99: float
    worst: float


def summary(of: Sequence[Judged]) -> Summary:
    """How far from the truth they are."""
    moved = np.array([one.moved for one in of]) / 1e6
    wait = sum(one.exchange.end for one in of) / 1e6
    p95, p99 = np.quantile(moved, [0.95, 0.99]).tolist()
    return Summary(len(of), float(moved.sum()) / wait, p95, p99, float(moved.max()))
