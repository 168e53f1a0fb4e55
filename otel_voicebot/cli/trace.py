"""``otel-voicebot trace``."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import ask, finish
from otel_voicebot.cli.options import Data, Json, Output, Question
from otel_voicebot.errors import NoDataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def look(opened: "Opened") -> "Trace":
        session, named = find(opened.ids(), name)
        turns = opened.engine.turns_of([session])
        return compute(opened.spans_of(session), opened.scope, session, named if turn is None else turn, turns)

    found = _found(name, Question(data), look)
    if json:
        out.write_json(document(found), output)
    elif html:
        from otel_voicebot.reports.page import render  # noqa: PLC0415 - not for --help

        out.write(render(found), output)
    else:
        show(found)
    return finish(found.scope)


def _found(name: str, question: Question, look: "Callable[[Opened], Trace]") -> "Trace":
    """By a name in full, from the few files that may hold it; by the beginning of one, from all."""
    from otel_voicebot.reports.source import ask_about  # noqa: PLC0415 - not for --help

    now, (session, slash, turn) = datetime.now(UTC), name.rpartition("/")
    for whole in (name, session) if slash and turn.isdecimal() else (name,):
        try:
            return ask_about(whole, question.settings().data, now, look)
        except NoDataError:  # what there is instead, the other way knows
            continue
    return ask(question, now, look, brief=True)


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
