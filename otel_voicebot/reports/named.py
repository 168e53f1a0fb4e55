"""A call, or one of its turns, by what somebody calls it."""

from datetime import datetime
from pathlib import Path

from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.reports.source import Opened, ask_about, names
from otel_voicebot.reports.trace import Trace, compute, find
from otel_voicebot.store.layout import is_trace

__all__ = ["trace_of"]


def trace_of(name: str, data: Path, now: datetime, turn: int | None = None) -> Trace:
    """By a name in full, from the few files that may hold it; the beginning of one is made full first, from all names.

    A trace id of 32 digits begins nothing: nobody else is asked about one that isn't there.

    Args:
        name: a session id, a trace id, the beginning of one, or one of these and ``/TURN``.
        data: the data directory.
        now: the moment that the answer is as of.
        turn: only this turn.

    Raises:
        NoDataError: nothing is called so, or several are.
        UnreadableDataError, TooSlowError: as ``source.ask_about``.
    """

    def look(opened: Opened, wanted: str) -> Trace:
        session, named = find(opened.ids(), wanted)
        turns = opened.engine.turns_of([session])
        return compute(opened.spans_of(session), opened.scope, session, named if turn is None else turn, turns)

    session, slash, index = name.rpartition("/")
    for whole in (name, session) if slash and index.isdecimal() else (name,):
        wanted = name.lower() if is_trace(whole.lower()) else name
        try:
            return ask_about(whole, data, now, lambda opened: look(opened, wanted))  # noqa: B023 - called at once
        except (NoDataError, UnreadableDataError):  # what there is instead, the names tell
            if is_trace(whole.lower()):
                raise
    session, place = find(names(data), name)
    full = session if place is None else f"{session}/{place}"
    return ask_about(session, data, now, lambda opened: look(opened, full))
