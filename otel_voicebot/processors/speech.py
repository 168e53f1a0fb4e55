"""Speech events of a turn become the four times from which its response gap follows."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.spans.attributes import Mask
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["speech_columns"]

_EVENTS: Final = (
    semconv.USER_SPEECH_START,
    semconv.USER_SPEECH_END,
    semconv.BOT_SPEECH_START,
    semconv.BOT_SPEECH_END,
)
_USER_START, _USER_END, _BOT_START, _BOT_END = range(4)
_NAMES: Final = pa.array(_EVENTS, pa.string())
_COLUMNS: Final = (
    "user_speech_start_unix_nano",
    "user_speech_end_unix_nano",
    "bot_speech_start_unix_nano",
    "bot_speech_end_unix_nano",
)


def speech_columns(batch: SpanBatch, turns: Mask) -> dict[str, pa.Array]:
    """The speech columns of a batch; null on spans that are no turns.

    The caller's end of speech (t0) is the one that the bot answered: the first that is followed by bot audio before the
    caller speaks again; else the last. The bot's start (t1) is that audio; without any end of speech the bot's first.
    """
    times = np.zeros((4, len(batch)), np.int64)
    kinds = np.asarray(pc.fill_null(pc.index_in(batch.events.columns["name"], _NAMES), -1))
    stamps = np.asarray(pc.fill_null(batch.events.columns["unix_nano"], 0))
    chosen = np.flatnonzero((kinds >= 0) & (stamps > 0) & turns[batch.events.row])
    order = chosen[np.lexsort((stamps[chosen], batch.events.row[chosen]))]
    rows = batch.events.row[order]
    for part in np.split(order, np.flatnonzero(np.diff(rows)) + 1):
        if len(part):
            times[:, batch.events.row[part[0]]] = _times(kinds[part].tolist(), stamps[part].tolist())
    return {name: pa.array(times[place], mask=times[place] == 0) for place, name in enumerate(_COLUMNS)}


def _times(kinds: list[int], stamps: list[int]) -> tuple[int, int, int, int]:
    """First user start, t0, t1, last bot end of one turn's events, which are in the order of their times; 0: unknown."""
    began = ended = answered = waiting = 0
    bot_started = bot_ended = 0
    for kind, stamp in zip(kinds, stamps, strict=True):
        if kind == _USER_START:
            began = began or stamp
            waiting = 0
        elif kind == _USER_END:
            waiting = stamp
            ended = ended if answered else stamp
        elif kind == _BOT_START:
            bot_started = bot_started or stamp
            if waiting and not answered:
                answered = stamp
        else:
            bot_ended = stamp
    return began, ended, answered or (0 if ended else bot_started), bot_ended
