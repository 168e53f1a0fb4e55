"""``otel-voicebot trace``."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish
from otel_voicebot.cli.options import Data, Json, Output, Question
from otel_voicebot.errors import NoDataError, UnreadableDataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otel_voicebot.reports.source import Opened
    from otel_voicebot.reports.trace import Trace

__all__ = ["show", "trace"]


def trace(
    name: Annotated[
        str,
        typer.Argument(metavar="ID", help="A session id, a trace id, SESSION/TURN, or the unique beginning of one."),
    ],
    turn: Annotated[
        int | None,
        typer.Option("--turn", min=1, metavar="N", help="Only this turn of the session.", show_default=False),
    ] = None,
    data: Data = None,
    json: Json = False,
    html: Annotated[
        bool, typer.Option("--html", help="One HTML page that opens anywhere, with nothing loaded from elsewhere.")
    ] = False,
    output: Output = None,
) -> int:
    """One call, or one turn of it, as a waterfall.

    A turn's time counts from the caller's end of speech: what lies between the two marks is what the caller waited for.
    Above the spans stands the wait, cut into segments; they don't overlap, and add up to it.
    """
    if output is not None and not (json or html):
        msg = "--output is for --json and --html; redirect the waterfall instead: otel-voicebot trace ID > FILE"
        raise UsageError(msg)
    if json and html:
        msg = "choose one format, not --json and --html"
        raise UsageError(msg)
    from otel_voicebot.reports.trace import compute, document, find  # noqa: PLC0415 - not for --help

    def look(opened: "Opened", wanted: str) -> "Trace":
        session, named = find(opened.ids(), wanted)
        turns = opened.engine.turns_of([session])
        return compute(opened.spans_of(session), opened.scope, session, named if turn is None else turn, turns)

    found = _found(name, Question(data).settings().data, look)
    if json:
        out.write_json(document(found), output)
    elif html:
        from otel_voicebot.reports.page import render  # noqa: PLC0415 - not for --help

        out.write(render(found), output)
    else:
        show(found)
    return finish(found.scope)


def _found(name: str, data: "Path", look: "Callable[[Opened, str], Trace]") -> "Trace":
    """By a name in full, from the few files that may hold it; the beginning of one is made full first, from all names.

    A trace id of 32 digits begins nothing: nobody else is asked about one that isn't there.
    """
    from otel_voicebot.reports.source import ask_about, names  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.trace import find  # noqa: PLC0415
    from otel_voicebot.store.contents import is_trace  # noqa: PLC0415

    now, (session, slash, turn) = datetime.now(UTC), name.rpartition("/")
    for whole in (name, session) if slash and turn.isdecimal() else (name,):
        wanted = name.lower() if is_trace(whole.lower()) else name
        try:
            return ask_about(whole, data, now, lambda opened: look(opened, wanted))  # noqa: B023 - called at once
        except (NoDataError, UnreadableDataError):  # what there is instead, the names tell
            if is_trace(whole.lower()):
                raise
    session, index = find(names(data), name)
    full = session if index is None else f"{session}/{index}"
    return ask_about(session, data, now, lambda opened: look(opened, full))


def show(found: "Trace") -> None:
    """The waterfall and what stands under it, on stdout."""
    from otel_voicebot.reports.details import details, events, links, said  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.segments import listed  # noqa: PLC0415
    from otel_voicebot.reports.waterfall import draw  # noqa: PLC0415

    out.picture(draw(found, out.width(), out.glyphs()))
    out.write("\n", None)
    pointed = links(found)
    tables = [listed(found), details(found), said(found), events(found), *([pointed] if pointed.rows else [])]
    out.write_table([], tables, None)
