"""A day of calls as stored rows, made column by column: spans, and the rows that the service would write of them.

Eight turns a call, seven spans a turn (turn, endpointing, stt, nlu, llm, tts, tool) and the session's. Waits are
lognormal and cut into the segments that those spans mean. Calls lie in the hour in which they came in; closed hours are
history, the last is hot. Everything is drawn by a seed.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["HOUR_NS", "SPANS_A_CALL", "START", "fill"]

START: Final = 1_767_571_200_000_000_000
"""Midnight of the day, UTC, ns."""
HOUR_NS: Final = 3_600_000_000_000
TURNS: Final = 8
STAGES: Final = ("turn", "endpointing", "stt", "nlu", "tool", "llm", "tts")
SPANS_A_CALL: Final = TURNS * len(STAGES) + 1
_SHARES: Final = np.array([0.28, 0.08, 0.04, 0.12, 0.30, 0.10, 0.07, 0.01])
_SEGMENTS: Final = (
    *("endpointing", "stt_tail", "nlu", "tool", "llm_first_token", "llm_speakable", "tts_first_audio"),
    "orchestration",
)
_LLMS: Final = (("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku"), ("groq", "llama-3.3-70b"))
_TTSS: Final = (("elevenlabs", "flash_v2_5"), ("cartesia", "sonic-2"))
_OWNERS: Final = (
    *((f"{one}/{two}", "service", one, two) for one, two in (*_LLMS, *_TTSS)),
    ("min_delay", "setting", None, None),
    ("deepgram/nova-3", "service", "deepgram", "nova-3"),
    ("intents", "service", None, None),
    ("lookup", "tool", None, None),
    *(("bot code", "bot", None, None),) * 5,
)
"""Models, voices, then the owners of the other segments by their place."""
_OUTCOMES: Final = ("resolved", "unresolved", "escalated", "abandoned", "failed")
_INTENTS: Final = ("balance", "loan", "payment_plan", "complaint", "card_lost", "opening_hours")
_CALLERS: Final = 50_000
_OPERATIONS: Final = 5
"""Of a turn's stages those that are operations."""
_SLOW_TTS: Final = 2.0
"""How much longer the second voice takes than the first."""

Ints = NDArray[np.int64]


def fill(directory: Path, spans: int, hours: int = 24, seed: int = 0) -> int:
    """Store about so many spans, and their turns; returns how many calls."""
    from otel_voicebot.store import SpanStore
    from otel_voicebot.store.compact import closed_hours, compact
    from otel_voicebot.store.lease import take

    random = np.random.default_rng(seed)
    calls = max(spans // hours // SPANS_A_CALL, 1)
    for hour in range(hours):
        now = START + hour * HOUR_NS
        store = SpanStore(directory, clock=lambda now=now: now)  # type: ignore[misc]
        drawn = _Calls(random, calls, now)
        store.commit(drawn.spans().to_batches())
        store.write_rows("turns", drawn.turns())
        store.write_rows("sessions", drawn.sessions())
    with take(directory) as lease:
        _, failed = compact(lease, closed_hours(directory, START + (hours - 1) * HOUR_NS + 1))
    if failed:
        raise failed[0].error
    return hours * calls


class _Calls:
    """What was drawn for the calls of one hour."""

    def __init__(self, random: np.random.Generator, calls: int, hour: int) -> None:
        self.calls, self.turns_ = calls, calls * TURNS
        self.ids = np.frombuffer(random.bytes(16 * calls), np.uint8).reshape(calls, 16)
        self.names = pa.array([row.tobytes().hex() for row in self.ids])
        start = hour + random.integers(0, HOUR_NS - 200_000_000_000, calls)
        self.begin = (start[:, None] + np.arange(TURNS) * 20_000_000_000).ravel()
        self.llm = np.repeat(random.integers(0, len(_LLMS), calls), TURNS)
        self.tts = np.repeat(random.integers(0, len(_TTSS), calls), TURNS)
        shares = _SHARES * np.exp(0.3 * random.standard_normal((self.turns_, len(_SHARES))))
        shares /= shares.sum(axis=1, keepdims=True)
        gap = 1.2 * np.exp(0.5 * random.standard_normal(self.turns_))
        parts = (gap[:, None] * shares * 1e9).astype(np.int64)
        parts[:, 6] = np.where(self.tts == 1, parts[:, 6] * _SLOW_TTS, parts[:, 6]).astype(np.int64)
        self.parts = parts
        self.heard = self.begin + 3_000_000_000
        self.at = self.heard[:, None] + np.concatenate(
            [np.zeros((self.turns_, 1), np.int64), np.cumsum(parts, axis=1)], axis=1
        )
        self.error = random.random(self.turns_) < 0.02
        self.began = self.begin[::TURNS] - 10**8
        self.ended = self.at[TURNS - 1 :: TURNS, -1] + 4_100_000_000
        self.outcome = random.choice(len(_OUTCOMES), calls, p=(0.7, 0.12, 0.1, 0.06, 0.02))
        self.intent = random.integers(0, len(_INTENTS), calls)
        self.caller = random.integers(0, _CALLERS, calls)
        self.csat = random.integers(-15, 6, calls)
        self.tokens = random.integers(300, 2000, self.turns_)
        self.hour = hour
        self.random = random

    def spans(self) -> pa.Table:
        """In schema SPANS."""
        from otel_voicebot.spans import TABLES

        at, end = self.at, self.at[:, -1] + 4_000_000_000
        # turn, endpointing, stt, nlu, tool, llm, tts
        starts = np.stack([self.begin, self.heard, self.begin, at[:, 2], at[:, 3], at[:, 4], at[:, 6]], axis=1)
        ends = np.stack([end, at[:, 1], at[:, 2], at[:, 3], at[:, 4], at[:, 6] + 10**9, at[:, 7] + 10**9], axis=1)
        rows, width = self.turns_ * len(STAGES), len(STAGES)
        call = np.repeat(np.arange(self.calls), TURNS * width)
        start, stop = np.concatenate([starts.ravel(), self.began]), np.concatenate([ends.ravel(), self.ended])
        call = np.concatenate([call, np.arange(self.calls)])
        total = rows + self.calls
        stage = np.concatenate([np.tile(np.arange(width), self.turns_), np.full(self.calls, width)])
        llm, tts = (np.repeat(one, width) for one in (self.llm, self.tts))
        failed = np.concatenate([(stage[:rows] == 4) & np.repeat(self.error, width), np.zeros(self.calls, np.bool_)])
        turn = np.concatenate([np.repeat(np.arange(self.turns_) % TURNS + 1, width), np.zeros(self.calls, np.int64)])
        known: dict[str, Any] = {
            "trace_id": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(16), total, [None, pa.py_buffer(np.ascontiguousarray(self.ids[call]))]
            ),
            "span_id": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(8), total, [None, pa.py_buffer(self.random.bytes(8 * total))]
            ),
            "name": pa.array([*STAGES, "session"]).take(pa.array(stage)),
            "component": pa.array([*STAGES, "session"]).take(pa.array(stage)),
            "dialect": pa.repeat("native", total),
            "status": pa.array(["unset", "error"]).take(pa.array(failed.astype(np.int8))),
            "error_type": pa.array(["timeout"]).take(pa.array(np.zeros(total, np.int8), mask=~failed)),
            "start_unix_nano": pa.array(start),
            "end_unix_nano": pa.array(stop),
            "start_time": pa.array(start // 1000).cast(pa.timestamp("us", tz="UTC")),
            "duration_ns": pa.array(stop - start),
            "session_id": self.names.take(pa.array(call)),
            "turn_index": pa.array(turn, mask=turn == 0),
            "bot": pa.repeat("bank", total),
            "provider": _service(stage, llm, tts, 0),
            "model": _service(stage, llm, tts, 1),
            "input_tokens": _of(stage, 5, self.tokens, total),
            "output_tokens": _of(stage, 5, self.tokens // 8, total),
            "audio_s": _of(stage, 2, np.full(self.turns_, 3.0), total),
            "characters": _of(stage, 6, self.tokens // 5, total),
            "confidence": _of(stage, 3, self.tokens % 50 / 100 + 0.5, total),
            **{name: pa.concat_arrays([pa.nulls(rows, column.type), column]) for name, column in self._told().items()},
            "user_speech_end_unix_nano": _mark(stage, np.repeat(self.heard, width), total),
            "bot_speech_start_unix_nano": _mark(stage, np.repeat(at[:, -1], width), total),
            "ingest_time": pa.array(stop // 1000).cast(pa.timestamp("us", tz="UTC")),
        }
        return _table(known, TABLES["spans"], total)

    def turns(self) -> pa.Table:
        """In schema TURNS, as they were computed two seconds after each turn."""
        from otel_voicebot.spans import TABLES

        total, width = self.turns_, len(_SEGMENTS)
        start, waited = self.begin, self.parts.sum(axis=1)
        end = self.at[:, -1] + 4_000_000_000
        session = self.names.take(pa.array(np.repeat(np.arange(self.calls), TURNS)))
        known: dict[str, Any] = {
            "session_id": session,
            "trace_id": session,
            "turn_index": pa.array(np.arange(total) % TURNS + 1),
            "bot": pa.repeat("bank", total),
            "dialect": pa.repeat("native", total),
            "start_time": pa.array(start // 1000).cast(pa.timestamp("us", tz="UTC")),
            "end_time": pa.array(end // 1000).cast(pa.timestamp("us", tz="UTC")),
            "kind": pa.repeat("exchange", total),
            "outcome": pa.repeat("answered", total),
            "response_gap_s": pa.array(waited / 1e9),
            "interrupted": pa.repeat(False, total),  # noqa: FBT003 - Arrow's signature
            "operations": pa.repeat(_OPERATIONS, total),
            "errors": pa.array(self.error.astype(np.int64)),
            "gap_source": pa.repeat("derived", total),
            "error_type": pa.array(["timeout"]).take(pa.array(np.zeros(total, np.int64), mask=~self.error)),
            "segments": pa.ListArray.from_arrays(
                pa.array(np.arange(total + 1, dtype=np.int32) * width), self._segments(width)
            ),
            **self._longest(width),
            **{
                f"{kind}_{name}": pa.array([one[place] for one in table]).take(pa.array(chosen))
                for kind, table, chosen in (("llm", _LLMS, self.llm), ("tts", _TTSS, self.tts))
                for place, name in enumerate(("provider", "model"))
            },
            "revision": pa.repeat(1, total),
            "computed_at": pa.array((end + 2_000_000_000) // 1000).cast(pa.timestamp("us", tz="UTC")),
            "writer": pa.repeat("bench", total),
        }
        return _table(known, TABLES["turns"], total)

    def sessions(self) -> pa.Table:
        """In schema SESSIONS, as they were computed six seconds after each call."""
        from otel_voicebot.spans import TABLES

        total = self.calls
        known: dict[str, Any] = {
            "session_id": self.names,
            "session_source": pa.repeat("explicit", total),
            "trace_id": self.names,
            "bot": pa.repeat("bank", total),
            **self._told(),
            "start_time": pa.array(self.began // 1000).cast(pa.timestamp("us", tz="UTC")),
            "end_time": pa.array(self.ended // 1000).cast(pa.timestamp("us", tz="UTC")),
            "duration_s": pa.array((self.ended - self.began) / 1e9),
            "turns": pa.repeat(TURNS, total),
            "answered": pa.repeat(TURNS, total),
            "planned_handoff": pa.repeat(False, total),  # noqa: FBT003 - Arrow's signature
            "operations": pa.repeat(TURNS * _OPERATIONS, total),
            "errors": pa.array(self.error.reshape(total, TURNS).sum(axis=1)),
            "complete": pa.repeat(True, total),  # noqa: FBT003 - Arrow's signature
            "revision": pa.repeat(1, total),
            "computed_at": pa.array((self.ended + 6_000_000_000) // 1000).cast(pa.timestamp("us", tz="UTC")),
            "writer": pa.repeat("bench", total),
        }
        return _table(known, TABLES["sessions"], total)

    def _told(self) -> dict[str, pa.Array]:
        """What stands on the calls' own spans, and in their rows."""
        callers = pa.array([f"{number:064x}" for number in range(_CALLERS)])
        return {
            "user_hash": callers.take(pa.array(self.caller)),
            "intent": pa.array(_INTENTS).take(pa.array(self.intent)),
            "outcome": pa.array(_OUTCOMES).take(pa.array(self.outcome)),
            "csat": pa.array(self.csat, mask=self.csat < 1),
        }

    def _owners(self, place: Ints) -> Ints:
        """The owners' numbers in ``_OWNERS`` of the segments, turn after turn, at these places in their turns."""
        each = len(place) // self.turns_
        llm, tts = (np.repeat(one, each) for one in (self.llm, self.tts))
        return np.where((place == 4) | (place == 5), llm, np.where(place == 6, len(_LLMS) + tts, 5 + place))

    def _longest(self, width: int) -> dict[str, pa.Array]:
        """Each segment occurs once in a turn: the longest is the first of the greatest."""
        place = self.parts[:, :width].argmax(axis=1)
        owners = pa.array([one[0] for one in _OWNERS])
        return {
            "longest_segment": pa.array(_SEGMENTS).take(pa.array(place)),
            "longest_owner": owners.take(pa.array(self._owners(place))),
        }

    def _segments(self, width: int) -> pa.StructArray:
        place = np.tile(np.arange(width), self.turns_)
        owner = self._owners(place)
        columns = [pa.array([one[at] for one in _OWNERS], pa.string()).take(pa.array(owner)) for at in range(4)]
        total = len(place)
        names = (
            "segment",
            "owner",
            "owner_kind",
            "provider",
            "model",
            "span_id",
            "start_unix_nano",
            "duration_s",
            "detail",
        )
        return pa.StructArray.from_arrays(
            [
                pa.array(_SEGMENTS).take(pa.array(place)),
                *columns,
                pa.nulls(total, pa.string()),
                pa.array(self.at[:, :-1].ravel()),
                pa.array(self.parts.ravel() / 1e9),
                pa.nulls(total, pa.string()),
            ],
            names,
        )


def _service(stage: Ints, llm: Ints, tts: Ints, place: int) -> pa.Array:
    """Provider or model of model calls and voices; null of the rest."""
    names = pa.array([one[place] for one in (*_LLMS, *_TTSS)])
    rows = len(llm)
    used = np.where(stage[:rows] == 5, llm, len(_LLMS) + tts)
    code = np.concatenate([used, np.zeros(len(stage) - rows, np.int64)])
    return names.take(pa.array(code, mask=(stage != 5) & (stage != 6)))


def _mark(stage: Ints, times: Ints, total: int) -> pa.Array:
    """A time that stands on the turn's span only."""
    return pa.array(np.concatenate([times, np.zeros(total - len(times), np.int64)]), mask=stage != 0)


def _of(stage: Ints, wanted: int, values: NDArray[Any], total: int) -> pa.Array:
    """A value a turn, which stands on one of its stages only."""
    spread = np.concatenate([np.repeat(values, len(STAGES)), np.zeros(total - len(values) * len(STAGES), values.dtype)])
    return pa.array(spread, mask=stage != wanted)


def _table(known: dict[str, Any], schema: pa.Schema, rows: int) -> pa.Table:
    columns = [
        known[field.name].cast(field.type) if field.name in known else pa.nulls(rows, field.type) for field in schema
    ]
    return pa.table(columns, schema=schema)


def main() -> None:
    """``python -m bench.day SPANS DIRECTORY [HOURS]``: store a day, or so many hours; prints what it holds."""
    calls = fill(Path(sys.argv[2]), int(sys.argv[1]), *map(int, sys.argv[3:]))
    json.dump({"calls": calls, "turns": calls * TURNS, "spans": calls * SPANS_A_CALL}, sys.stdout)


if __name__ == "__main__":
    main()
