"""Speech events of a turn become the four times from which its response gap follows."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.processors.recognise import Recognised
from otel_voicebot.spans.attributes import Int32s
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["speech_columns"]

_EVENTS: Final = (
    semconv.USER_SPEECH_START,
    semconv.USER_SPEECH_END,
    semconv.BOT_SPEECH_START,
    semconv.BOT_SPEECH_END,
)
_USER_END: Final = 1
"""Position in ``_EVENTS``; up to it they are the caller's."""
_COLUMNS: Final = (
    "user_speech_start_unix_nano",
    "user_speech_end_unix_nano",
    "bot_speech_start_unix_nano",
    "bot_speech_end_unix_nano",
)


def speech_columns(batch: SpanBatch, seen: Recognised) -> dict[str, pa.Array]:
    """The speech columns of a batch; null on spans that are no turns. Our names of events count, and the dialect's.

    The caller's end of speech (t0) is the one that the bot answered: the first that is followed by bot audio before
    the caller speaks again; else the last. The bot's start (t1) is that audio; without any end of speech the bot's
    first.
    """
    turns = seen.component == semconv.COMPONENTS.index("turn")
    kinds = _places(batch.events.columns["name"], _EVENTS)
    for number, one in enumerate(seen.dialects):
        if one.speech and seen.present[number]:
            place = _places(batch.events.columns["name"], tuple(one.speech))
            mine = (place >= 0) & (seen.dialect[batch.events.row] == number)
            ours = np.array([_EVENTS.index(name) for name in one.speech.values()], np.int32)
            kinds = np.where(mine, ours[place], kinds)
    stamps = np.asarray(pc.fill_null(batch.events.columns["unix_nano"], 0))
    chosen = np.flatnonzero((kinds >= 0) & (stamps > 0) & turns[batch.events.row])
    order = chosen[np.lexsort((stamps[chosen], batch.events.row[chosen]))]
    rows, kinds, stamps = batch.events.row[order], kinds[order], stamps[order]
    user_starts, user_ends, bot_starts, bot_ends = (np.flatnonzero(kinds == kind) for kind in range(4))

    # an answer: bot audio after which, looking back, the caller's last deed was to stop speaking
    deeds = np.where(kinds <= _USER_END, np.arange(len(kinds)), -1)
    before = np.maximum.accumulate(deeds)[bot_starts] if len(kinds) else bot_starts
    answers = (before >= 0) & (rows[before] == rows[bot_starts]) & (kinds[before] == _USER_END)
    times = np.zeros((4, len(batch)), np.int64)
    times[0, rows[user_starts[::-1]]] = stamps[user_starts[::-1]]  # of several the last write stays: the first event
    times[1, rows[user_ends]] = stamps[user_ends]
    unasked = bot_starts[times[1, rows[bot_starts]] == 0][::-1]
    times[2, rows[unasked]] = stamps[unasked]
    first = np.flatnonzero(answers)[::-1]
    times[1, rows[bot_starts[first]]] = stamps[before[first]]
    times[2, rows[bot_starts[first]]] = stamps[bot_starts[first]]
    times[3, rows[bot_ends]] = stamps[bot_ends]
    return {name: pa.array(times[place], mask=times[place] == 0) for place, name in enumerate(_COLUMNS)}


def _places(names: pa.StringArray, among: tuple[str, ...]) -> Int32s:
    """Of each name its place in the list; -1 where it is none of them."""
    places: Int32s = np.asarray(pc.fill_null(pc.index_in(names, pa.array(among, pa.string())), -1))
    return places
