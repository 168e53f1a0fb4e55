"""Whatever spans say, segments are a partition of the wait; and they depend on nothing but the spans."""

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import wire
from bench.truth.draws import MS, draws
from bench.truth.measure import Row, asked, cut, rows_of_request
from bench.truth.native import EPOCH, World, world
from otel_voicebot import semconv as s
from tests.attribution.conftest import Seen
from tests.live.doors import Fed

_SEGMENTS = "SELECT * FROM segments ORDER BY session_id, turn_index, position"
_TURNS = "SELECT * FROM turns ORDER BY session_id, turn_index"
SEGMENT_NAMES = {
    *("endpointing", "stt_tail", "nlu", "rag", "tool", "llm_first_token", "llm_speakable", "tts_first_audio"),
    *("playout_start", "orchestration", "unattributed"),
}
OWNER_KINDS = {"service", "setting", "tool", "bot", "framework", "transport", "network", None}
NAMES = (
    *(s.SPAN_ENDPOINTING, s.SPAN_STT, s.SPAN_NLU, s.SPAN_RAG, s.SPAN_CACHE, s.SPAN_API, s.SPAN_HANDOFF, s.SPAN_TTS),
    *("chat m", "execute_tool t", "voicebot.hook", s.SPAN_PLAYOUT, s.SPAN_TTS, "chat m"),
)


def parted(rows: list[Row], begin: int, end: int) -> None:
    """Segments in order, without gap or overlap, from begin to end."""
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    edges = [begin, *(row["end_nano"] for row in rows)]
    assert [row["start_nano"] for row in rows] == edges[:-1]
    assert edges[-1] == end
    assert all(row["start_nano"] < row["end_nano"] for row in rows)
    assert {row["segment"] for row in rows} <= SEGMENT_NAMES
    assert {row["owner_kind"] for row in rows} <= OWNER_KINDS


def test_the_segments_of_every_exchange_are_its_wait(plain: Seen, skewed: Seen) -> None:
    """To the nanosecond, from the caller's end of speech to the first audio or to the moment of giving up."""
    for of in (plain, skewed):
        for told in of.world.told:
            parted(of.rows[told.session, told.turn], told.t0, told.t0 + told.exchange.end)
        assert of.rows.keys() == {(told.session, told.turn) for told in of.world.told}


def test_the_turns_have_the_same_segments() -> None:
    """The column of turns holds the rows of segments; they sum to the gap or to the abandoned wait within 1 ms."""
    made = world(draws(300, seed=21), skew_ms=30, seed=22)
    turns, rows = asked(made.request(), _TURNS, _SEGMENTS)
    by_turn: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        by_turn.setdefault((row["session_id"], row["turn_index"]), []).append(row)
    exchanges = [turn for turn in turns if turn["kind"] == "exchange"]
    assert len(exchanges) == 300
    assert all(turn["segments"] is None for turn in turns if turn["kind"] != "exchange")
    reasons = {(told.session, told.turn): told.exchange.reason for told in made.told}
    for turn in exchanges:
        own = by_turn[turn["session_id"], turn["turn_index"]]
        wait = turn["response_gap_s"] if turn["outcome"] == "answered" else turn["wait_s"]
        assert abs(sum(part["duration_s"] for part in turn["segments"]) - wait) <= 1e-3
        assert (turn["abandon_reason"] or "") == reasons[turn["session_id"], turn["turn_index"]]
        for part, row in zip(turn["segments"], own, strict=True):
            assert part["start_unix_nano"] == row["start_nano"]
            assert abs(part["duration_s"] - (row["end_nano"] - row["start_nano"]) / 1e9) < 1e-9
            assert part["span_id"] == (row["span_id"].hex() if row["span_id"] else None)
            same = ("segment", "owner", "owner_kind", "provider", "model", "detail")
            assert [part[name] for name in same] == [row[name] for name in same]


class Chaos:
    """Turns whose spans make no sense: any start and end, in any order, with marks that contradict them."""

    def __init__(self, seed: int) -> None:
        self.any = Random(seed)
        self.spans: list[wire.Span] = []

    def time(self, at: int) -> int:
        """Some moment around, sometimes absurd, sometimes none."""
        fine = self.any.choice((1, 500))  # many at the same moment
        return 0 if self.any.random() < 0.03 else at + round(self.any.gauss(1.0, 2.5) * 1000 / fine) * fine * MS

    def turn(self, session: int, index: int) -> None:
        """One turn."""
        any_, at = self.any, EPOCH + session * 600_000 * MS + index * 20_000 * MS
        trace = (session + 1).to_bytes(16)
        stamps: dict[str, wire.Value] = {s.SESSION_ID: f"s{session}", s.TURN_INDEX: index}
        names = any_.choices((s.USER_SPEECH_START, s.USER_SPEECH_END, s.BOT_SPEECH_START, s.BOT_SPEECH_END), k=6)
        events: list[wire.Event] = [(self.time(at), name, {}) for name in names]
        ids = [(session * 1000 + index * 50 + n + 1).to_bytes(8) for n in range(any_.randrange(14))]
        root = (session * 1000 + index * 50 + 49).to_bytes(8)
        end = at + any_.randrange(1, 15_000) * MS
        self.spans.append(wire.Span(trace, root, b"", s.SPAN_TURN, 1, at, end, stamps, events))
        for own in ids:
            attributes: dict[str, wire.Value] = dict(stamps)
            if any_.random() < 0.7:
                attributes[s.TIME_TO_FIRST_CHUNK] = any_.choice(
                    [0.0, any_.random(), any_.gauss(0, 5), 1e12, float("nan")]
                )
            for flag in (s.CANCELLED, s.BACKGROUND, s.DISCARDED):
                if any_.random() < 0.08:
                    attributes[flag] = any_.random() < 0.8
            if any_.random() < 0.5:
                attributes[s.ENDPOINTING_OUTCOME] = any_.choice(s.ENDPOINTING_OUTCOMES)
            parent = any_.choice([root, root, root, b"", any_.choice(ids)])
            begin = self.time(at)
            until = any_.choice([self.time(at), begin, begin + any_.randrange(1, 3000) * MS])
            error = "failed" if any_.random() < 0.2 else None
            self.spans.append(wire.Span(trace, own, parent, any_.choice(NAMES), 1, begin, until, attributes, (), error))


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_nonsense_is_cut_without_gap_or_overlap(seed: int) -> None:
    """Spans with any times, marks and parents: every wait that has a length is cut, its parts sum to it.

    And they are the same in another order of the spans, also of those that start and end in the same moment.
    """
    made = Chaos(seed)
    for session in range(60):
        for index in range(1, made.any.randint(1, 4) + 1):
            made.turn(session, index)
    spans = made.any.sample(made.spans, len(made.spans))
    request = wire.request([({s.SERVICE_NAME: "bot"}, s.SCOPE_NAME, map(wire.span, spans))])
    turns, rows = asked(request, _TURNS, _SEGMENTS)
    again = wire.request([({s.SERVICE_NAME: "bot"}, s.SCOPE_NAME, map(wire.span, spans[::-1]))])
    assert asked(again, _SEGMENTS)[0] == rows
    by_turn: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        by_turn.setdefault((row["session_id"], row["turn_index"]), []).append(row)
    whole = 0
    for turn in turns:
        own = by_turn.pop((turn["session_id"], turn["turn_index"]), [])
        wait = turn["response_gap_s"] if turn["outcome"] == "answered" else turn["wait_s"]
        assert (turn["segments"] is None) == (not own) or turn["segments"] == []
        if own:
            assert turn["kind"] == "exchange"
            parted(own, own[0]["start_nano"], own[-1]["end_nano"])
            assert wait is not None
            assert abs(own[-1]["end_nano"] - own[0]["start_nano"] - wait * 1e9) <= 1000
            whole += 1
        elif turn["kind"] == "exchange" and wait:
            assert not any(
                span.name == s.SPAN_TURN
                and span.attributes[s.TURN_INDEX] == turn["turn_index"]
                and span.attributes[s.SESSION_ID] == turn["session_id"]
                and any(name == s.USER_SPEECH_END and at for at, name, _ in span.events)
                for span in made.spans
            ), turn
    assert not by_turn
    assert whole > 20


def _shifted(made: World, by: int) -> World:
    spans = [
        written._replace(
            span=written.span._replace(
                start=written.span.start + by,
                end=written.span.end + by,
                events=[(at + by, name, attributes) for at, name, attributes in written.span.events],
            )
        )
        for written in made.spans
    ]
    return World(spans, made.told)


def _by_clock(rows: dict[tuple[str, int], list[Row]], by: int = 0) -> dict[tuple[str, int], list[Row]]:
    return {
        key: [{**row, "start_nano": row["start_nano"] - by, "end_nano": row["end_nano"] - by} for row in found]
        for key, found in rows.items()
    }


def test_neither_order_nor_clock_nor_company_matters() -> None:
    """The same rows in any order of the spans, at any time of the century, and for each call on its own."""
    made = world(draws(250, seed=31), skew_ms=50, seed=32)
    rows = cut(made)
    for seed in (1, 2):
        assert cut(World(Random(seed).sample(made.spans, len(made.spans)), made.told)) == rows
    for by in (-400 * 86_400_000 * MS - 7, 12_345_678_901):
        assert _by_clock(cut(_shifted(made, by)), by) == rows
    alone: dict[tuple[str, int], list[Row]] = {}
    traces = sorted({written.span.trace_id for written in made.spans})
    for trace in traces[:12]:
        alone |= cut(made, lambda span, only=trace: span.trace_id == only)  # type: ignore[misc]
    assert len(alone) > 20
    assert alone == {key: rows[key] for key in alone}


def test_live_and_batch_cut_alike() -> None:
    """Turns that the live state gives, fed in three batches, have the segments that the engine computes."""
    made = world(draws(60, seed=41), skew_ms=50, seed=42)
    fed, spans = Fed(), Random(5).sample(made.spans, len(made.spans))
    third = len(spans) // 3 + 1
    for start in range(0, len(spans), third):
        fed.live.add(rows_of_request(World(spans[start : start + third]).request()))
    fed.after(3600)
    live = {
        (row["session_id"], row["turn_index"]): row for row in sorted(fed.given["turns"], key=lambda r: r["revision"])
    }
    batch = {(turn["session_id"], turn["turn_index"]): turn for turn in asked(made.request(), _TURNS)[0]}
    assert live.keys() == batch.keys()
    for key, turn in batch.items():
        assert live[key]["segments"] == turn["segments"]
