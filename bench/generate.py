"""Calls of a voicebot as OTLP requests: seeded, fast (1 M spans in about 15 s), distributed as seen in the field.

Response gaps are lognormal (per language model: median 0.6 to 2 s, sigma 0.4 to 0.8) and are split among components,
so that a turn's parts add up to its gap. 4 to 12 turns a call, 7 or 8 spans a turn, calls spread over 24 h and
interleaved by the time their spans end. 2 % of operations fail, 5 % of exchanges are abandoned, 8 % interrupted.
"""

import heapq
import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import wire
from otel_voicebot import semconv as s

__all__ = ["ABANDON_RATE", "EPOCH", "ERROR_RATE", "INTERRUPT_RATE", "LLMS", "Call", "calls", "gaps", "requests"]

EPOCH: Final = 1_767_571_200_000_000_000
"""Start of the generated day: 2026-01-05, midnight UTC, in ns."""
DAY_S: Final = 86_400
ERROR_RATE: Final = 0.02
ABANDON_RATE: Final = 0.05
INTERRUPT_RATE: Final = 0.08
TOOL_RATE: Final = 0.3
CACHE_HIT_RATE: Final = 0.12
FALLBACK_RATE: Final = 0.03
REFERENCE_RATE: Final = 0.1
"""Utterances whose true text is known."""
MEAN_SPANS: Final = 57
"""Spans of a call, on average; only the spacing of calls over the day depends on it."""

_CHUNK: Final = 128  # calls drawn at once
_INTERNAL: Final = 1
_CLIENT: Final = 3

# provider, model, weight
STTS: Final = (("deepgram", "nova-3", 0.5), ("google", "chirp_2", 0.3), ("openai", "whisper-1", 0.2))
TTSS: Final = (("elevenlabs", "flash_v2_5", 0.5), ("cartesia", "sonic-2", 0.3), ("azure", "neural", 0.2))
# provider, model, weight, median gap in s, sigma
LLMS: Final = (
    ("openai", "gpt-4o-mini", 0.45, 0.9, 0.5),
    ("openai", "gpt-4o", 0.15, 1.5, 0.6),
    ("anthropic", "claude-haiku", 0.25, 1.2, 0.4),
    ("groq", "llama-3.3-70b", 0.10, 0.6, 0.7),
    ("local", "qwen-7b", 0.05, 2.0, 0.8),
)
# bot, channel (none: not stamped), variants, weight
BOTS: Final = (
    ("bank", "phone", (), 0.5),
    ("shop", "web", ("A", "B"), 0.2),
    ("clinic", "", (), 0.3),
)
INTENTS: Final = ("balance", "loan", "payment_plan", "complaint", "card_lost", "opening_hours")
ERRORS: Final = ("timeout", "rate_limit", "ConnectionError")
TOOLS: Final = ("account_lookup", "credit_score", "appointments")
INSTANCES: Final = 4
CALLERS: Final = 50_000
# shares of the gap: endpointing, rest of stt, nlu, cache, first token of the model, first audio of the voice
_SHARES: Final = np.array([0.28, 0.14, 0.03, 0.02, 0.36, 0.17])


def gaps(n: int, median: float = 1.2, sigma: float = 0.6, seed: int = 0) -> NDArray[np.float64]:
    """`n` response gaps in seconds, lognormal around `median`."""
    return median * np.exp(sigma * np.random.default_rng(seed).standard_normal(n))


class Call(NamedTuple):
    """One call: its number, the resource it ran on, its spans."""

    number: int
    resource: dict[str, str]
    spans: list[wire.Span]


class _Turn(NamedTuple):
    """What was drawn for one turn; times in s."""

    z: float
    speech: float
    reply: float
    pause: float
    endpointing: float
    stt: float
    nlu: float
    cache: float
    llm: float
    tts: float
    confidence: float
    input_tokens: int
    output_tokens: int
    intent: int
    chance: list[float]


class _Head(NamedTuple):
    """What was drawn for one call."""

    start: int
    turns: int
    stt: int
    llm: int
    tts: int
    bot: int
    chance: list[float]


def _draw_turns(rng: np.random.Generator, n: int) -> Iterator[_Turn]:
    def lognormal(median: float, sigma: float) -> NDArray[np.float64]:
        return median * np.exp(sigma * rng.standard_normal(n))

    shares = _SHARES * np.exp(0.3 * rng.standard_normal((n, len(_SHARES))))
    shares /= shares.sum(axis=1, keepdims=True)
    output = lognormal(28, 0.6)
    columns = [
        rng.standard_normal(n),
        lognormal(2.2, 0.5),
        output / 28 * 3.5,
        lognormal(0.7, 0.5),
        *shares.T,
        rng.beta(12, 2, n).round(3),
        (lognormal(700, 0.5) + 40).astype(np.int64),
        (output + 2).astype(np.int64),
        rng.integers(0, len(INTENTS), n),
        rng.random((n, 16)),
    ]
    return map(_Turn._make, zip(*(column.tolist() for column in columns), strict=True))


def _draw_heads(rng: np.random.Generator, clock: int, spacing: float) -> list[_Head]:
    def choice(table: tuple[tuple[Any, ...], ...], weight: int) -> list[int]:
        weights = np.array([row[weight] for row in table])
        return rng.choice(len(table), _CHUNK, p=weights / weights.sum()).tolist()  # type: ignore[no-any-return]

    starts = clock + np.cumsum(rng.exponential(spacing * 1e9, _CHUNK)).astype(np.int64)
    columns = (
        starts.tolist(),
        rng.integers(4, 13, _CHUNK).tolist(),
        choice(STTS, 2),
        choice(LLMS, 2),
        choice(TTSS, 2),
        choice(BOTS, 3),
        rng.random((_CHUNK, 6)).tolist(),
    )
    return list(map(_Head._make, zip(*columns, strict=True)))


class _CallBuilder:
    """Turns the draws of one call into spans."""

    def __init__(self, number: int, head: _Head, ids: bytes) -> None:
        self.head = head
        self.number = number
        self.trace_id = ids[:16]
        self.ids = iter([ids[at : at + 8] for at in range(16, len(ids), 8)])
        self.root = next(self.ids)
        bot, channel, variants, _ = BOTS[head.bot]
        self.stamps: dict[str, wire.Value] = {s.SESSION_ID: self.trace_id.hex(), s.BOT: bot}
        if channel:
            self.stamps[s.CHANNEL] = channel
        if variants:
            self.stamps[s.VARIANT] = variants[number % len(variants)]
        self.spans: list[wire.Span] = []
        # of the turn under way: what its spans carry, its span, when it is over
        self.turn_stamps = self.stamps
        self.parent = b""
        self.over = 0

    def add(self, name: str, time: tuple[int, int], attributes: wire.Attributes, chance: float = 1) -> None:
        """One operation of the turn; what begins after the caller gave up didn't happen. It fails on a small chance."""
        start, end = time[0], min(time[1], self.over)
        if start >= self.over:
            return
        everything = {**self.turn_stamps, **attributes}
        kind = _CLIENT if s.PROVIDER in attributes or s.API_NAME in attributes else _INTERNAL
        events: tuple[wire.Event, ...] = ()
        failed = chance < ERROR_RATE
        if failed:
            error = everything[s.ERROR_TYPE] = ERRORS[int(chance / ERROR_RATE * len(ERRORS))]
            events = ((end, s.EXCEPTION, {s.EXCEPTION_TYPE: error, s.EXCEPTION_MESSAGE: "the service gave no answer"}),)
        head = (self.trace_id, next(self.ids), self.parent, name, kind, start, end)
        self.spans.append(wire.Span(*head, everything, events, "no answer" if failed else None))

    def turn(self, index: int, draw: _Turn, begin: int) -> tuple[int, bool]:
        """Add the spans of one exchange from `begin` on; when it ended, and whether the caller gave up."""
        chance = draw.chance
        _, _, _, median, sigma = LLMS[self.head.llm]
        gap = median * math.exp(sigma * draw.z)
        heard = begin + int(draw.speech * 1e9)  # the caller's true end of speech
        audible = heard + int(gap * 1e9)
        abandoned = chance[0] < ABANDON_RATE
        interrupted = not abandoned and chance[1] < INTERRUPT_RATE
        silent = audible + int(draw.reply * 1e9 * (chance[2] if interrupted else 1))
        end = heard + int(gap * 1e9 * (0.2 + 0.8 * chance[3])) if abandoned else silent
        events: list[wire.Event] = [(begin, s.USER_SPEECH_START, {}), (heard, s.USER_SPEECH_END, {})]
        attributes: dict[str, wire.Value] = {}
        if abandoned:
            attributes[s.TURN_END_REASON] = "hung_up" if index == self.head.turns else "spoke_again"
        else:
            events += [(audible, s.BOT_SPEECH_START, {}), (silent, s.BOT_SPEECH_END, {})]
        if interrupted:
            attributes[s.TURN_INTERRUPTED] = True
        self.turn_stamps = {**self.stamps, s.TURN_INDEX: index}
        self.parent, self.over = next(self.ids), end
        self.operations(draw, begin, heard, gap)
        head = (self.trace_id, self.parent, self.root, s.SPAN_TURN, _INTERNAL, begin, end)
        self.spans.append(wire.Span(*head, {**self.turn_stamps, **attributes}, events))
        return end, abandoned

    def operations(self, draw: _Turn, begin: int, heard: int, gap: float) -> None:
        """The parts of the gap, one after the other: their shares add up to it."""
        chance = draw.chance
        hit = chance[4] < CACHE_HIT_RATE
        scale = gap * 1e9 / (1 - draw.llm if hit else 1)
        decided = heard + int(draw.endpointing * scale)
        self.add(s.SPAN_ENDPOINTING, (heard, decided), {s.ENDPOINTING_OUTCOME: "committed"})
        provider, model, _ = STTS[self.head.stt]
        final = decided + int(draw.stt * scale)
        stt: dict[str, wire.Value] = {s.PROVIDER: provider, s.REQUEST_MODEL: model, s.STT_CONFIDENCE: draw.confidence}
        if chance[13] < REFERENCE_RATE:
            words = 1 + int(draw.speech * 2.5)
            stt |= {s.WER_ERRORS: int(chance[14] ** 4 * (words + 1)), s.WER_WORDS: words}
        self.add(s.SPAN_STT, (begin, final), {**stt, s.AUDIO_DURATION: draw.speech}, chance[5])
        understood = final + int(draw.nlu * scale)
        nlu: dict[str, wire.Value] = {s.INTENT_NAME: INTENTS[draw.intent], s.INTENT_CONFIDENCE: draw.confidence}
        if chance[15] < FALLBACK_RATE:
            nlu[s.INTENT_FALLBACK] = True
        self.add(s.SPAN_NLU, (final, understood), nlu, chance[6])
        looked_up = understood + int(draw.cache * scale)
        cache: dict[str, wire.Value] = {s.CACHE_NAME: "semantic", s.CACHE_HIT: hit}
        self.add(s.SPAN_CACHE, (understood, looked_up), cache, chance[7])
        worded = looked_up if hit else self.llm(draw, looked_up, int(draw.llm * scale))
        provider, model, _ = TTSS[self.head.tts]
        first_audio = draw.tts * scale / 1e9
        tts: dict[str, wire.Value] = {
            s.PROVIDER: provider,
            s.REQUEST_MODEL: model,
            s.TTS_CHARACTERS: int(draw.reply * 15),
        }
        made = worded + int((first_audio + draw.reply * 0.3) * 1e9)
        audio: dict[str, wire.Value] = {s.AUDIO_DURATION: draw.reply, s.TIME_TO_FIRST_CHUNK: first_audio}
        self.add(s.SPAN_TTS, (worded, made), {**tts, **audio}, chance[8])

    def llm(self, draw: _Turn, start: int, first_token: int) -> int:
        """The model call, sometimes with a tool or an API before it; when its first token came."""
        chance = draw.chance
        asked = start
        if chance[9] < TOOL_RATE:
            asked += int(first_token * 0.4)
            if chance[10] < 0.5:
                tool = TOOLS[draw.intent % len(TOOLS)]
                self.add(f"{s.SPAN_TOOL} {tool}", (start, asked), {s.TOOL_NAME: tool}, chance[11])
            else:
                self.add(s.SPAN_API, (start, asked), {s.API_NAME: "core-banking"}, chance[11])
        provider, model, *_ = LLMS[self.head.llm]
        worded = start + first_token
        attributes: dict[str, wire.Value] = {
            s.OPERATION_NAME: "chat",
            s.PROVIDER: provider,
            s.REQUEST_MODEL: model,
            s.INPUT_TOKENS: draw.input_tokens,
            s.OUTPUT_TOKENS: draw.output_tokens,
            s.TIME_TO_FIRST_CHUNK: (worded - asked) / 1e9,
        }
        self.add(f"{s.SPAN_LLM} {model}", (asked, worded + draw.output_tokens * 12_000_000), attributes, chance[12])
        return worded

    def hand_over(self, end: int, attributes: wire.Attributes) -> None:
        """Transfer the call at its end."""
        self.turn_stamps, self.parent, self.over = self.stamps, self.root, end
        self.add(s.SPAN_HANDOFF, (end - 500_000_000, end), attributes, self.head.chance[1])

    def finish(self, end: int, *, abandoned: bool, intent: str) -> Call:
        """Add the session's own span."""
        chance = self.head.chance
        outcome, reason = "resolved", "completed"
        if abandoned:
            outcome, reason = "abandoned", "hung_up"
        elif chance[0] < 0.1:
            outcome, reason = "escalated", "transferred"
            asked: dict[str, wire.Value] = {s.HANDOFF_TARGET: "human", s.HANDOFF_REQUESTED_BY: "caller"}
            self.hand_over(end, {**asked, s.HANDOFF_PLANNED: False})
        elif chance[0] < 0.22:
            outcome, reason = "unresolved", "hung_up"
        elif chance[0] < 0.24:
            outcome, reason = "failed", "error"
        elif chance[0] < 0.28:
            self.hand_over(end, {s.HANDOFF_TARGET: "loans", s.HANDOFF_PLANNED: True})
        attributes: dict[str, wire.Value] = {
            **self.stamps,
            s.SESSION_OUTCOME: outcome,
            s.SESSION_END_REASON: reason,
            s.SESSION_INTENT: intent,
            s.USER_HASH: f"{int(chance[5] * CALLERS):064x}",
        }
        events: list[wire.Event] = []
        if chance[2] < 0.2:
            answers = {s.CSAT: 1 + int(chance[3] ** 0.5 * 5), s.NPS: int(chance[4] ** 0.4 * 11)}
            events.append((end, s.FEEDBACK, answers))
        head = (self.trace_id, self.root, b"", s.SPAN_SESSION, _INTERNAL, self.head.start, end)
        self.spans.append(wire.Span(*head, attributes, events))
        return Call(self.number, _resource(self.number % INSTANCES), self.spans)


def _resource(instance: int) -> dict[str, str]:
    return {s.SERVICE_NAME: "voicebot", s.SERVICE_INSTANCE_ID: f"worker-{instance}", s.ENVIRONMENT: "production"}


def calls(spans: int, seed: int = 0) -> Iterator[Call]:
    """Whole calls, by start, until they hold at least `spans` spans; they are spread over a day."""
    rng = np.random.default_rng(seed)
    spacing = DAY_S * MEAN_SPANS / spans
    clock, number, made = EPOCH, 0, 0
    while True:
        heads = _draw_heads(rng, clock, spacing)
        clock = heads[-1].start
        draws = _draw_turns(rng, sum(head.turns for head in heads))
        for head in heads:
            call = _CallBuilder(number, head, rng.bytes(16 + 8 * (2 + 8 * head.turns)))
            begin, abandoned = head.start, False
            for index in range(1, head.turns + 1):
                draw = next(draws)
                end, abandoned = call.turn(index, draw, begin)
                begin = end + int(draw.pause * 1e9)
            yield call.finish(end, abandoned=abandoned, intent=INTENTS[draw.intent])
            number += 1
            made += len(call.spans)
            if made >= spans:
                return


def requests(spans: int, seed: int = 0, *, per_request: int = 8192) -> Iterator[bytes]:
    """OTLP requests of `per_request` spans (the last may have fewer): calls interleaved, by the end of each span."""
    open_spans: list[tuple[int, int, int, bytes]] = []  # end, order, instance, bytes: a heap
    order = 0
    batch: list[tuple[int, bytes]] = []
    for call in calls(spans, seed):
        start = call.spans[-1].start
        while open_spans and open_spans[0][0] <= start:
            _, _, instance, encoded = heapq.heappop(open_spans)
            batch.append((instance, encoded))
            if len(batch) == per_request:
                yield _request(batch)
                batch = []
        for row in call.spans:
            order += 1
            heapq.heappush(open_spans, (row.end, order, call.number % INSTANCES, wire.span(row)))
    while open_spans:
        _, _, instance, encoded = heapq.heappop(open_spans)
        batch.append((instance, encoded))
        if len(batch) == per_request or not open_spans:
            yield _request(batch)
            batch = []


def _request(batch: list[tuple[int, bytes]]) -> bytes:
    groups = [
        (_resource(number), s.SCOPE_NAME, [encoded for instance, encoded in batch if instance == number])
        for number in range(INSTANCES)
    ]
    return wire.request(group for group in groups if group[2])
