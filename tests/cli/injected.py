"""Calls that a test makes up and sends over real OTLP: how long callers waited, and what was misheard."""

import time
from collections.abc import Iterator
from itertools import count

from bench import wire
from otel_voicebot import semconv as s

__all__ = ["calls"]

_number = count(1)


def calls(
    n: int, gap_s: float, *, words: tuple[int, int] = (0, 10), bot: str = "bank", channel: str = "phone"
) -> Iterator[wire.Span]:
    """``n`` calls of one exchange, all over a second ago, each with one recognised utterance and a cache hit.

    Args:
        n: how many.
        gap_s: how long their callers waited.
        words: wrong words, and words, of the utterance.
        bot: whose they are.
        channel: how they came.
    """
    for number in (next(_number) for _ in range(n)):
        end = time.time_ns() - 1_000_000_000
        trace = number.to_bytes(16)
        own: dict[str, wire.Value] = {s.SESSION_ID: f"call-{number}", s.BOT: bot, s.CHANNEL: channel}
        turn = {**own, s.TURN_INDEX: 1}
        root, exchange, stt, cache = (index.to_bytes(8) for index in (1, 2, 3, 4))
        gap = round(gap_s * 1e9)
        spoken = end - gap - 2_000_000_000
        marks = [(spoken, s.USER_SPEECH_END, {}), (spoken + gap, s.BOT_SPEECH_START, {})]
        heard = {s.WER_ERRORS: words[0], s.WER_WORDS: words[1], s.PROVIDER: "local"}
        hit = {s.CACHE_NAME: "response", s.CACHE_HIT: True}
        yield wire.Span(trace, stt, exchange, s.SPAN_STT, 1, spoken, spoken + gap // 2, {**turn, **heard})
        yield wire.Span(trace, cache, exchange, s.SPAN_CACHE, 1, spoken, spoken + gap // 4, {**turn, **hit})
        yield wire.Span(trace, exchange, root, s.SPAN_TURN, 1, spoken - 10**9, end, turn, marks)
        ended = {**own, s.SESSION_OUTCOME: "resolved"}
        yield wire.Span(trace, root, b"", s.SPAN_SESSION, 1, spoken - 2 * 10**9, end, ended)
