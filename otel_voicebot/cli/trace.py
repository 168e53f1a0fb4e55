"""``otel-voicebot trace``."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import ask, finish
from otel_voicebot.cli.options import Data, Json, Output, Question
from otel_voicebot.errors import UsageError

if TYPE_CHECKING:
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
    output: Output = None,
) -> int:
    """One call, or one turn of it, as a waterfall.

    A turn's time counts from the caller's end of speech: what lies between the two marks is what the caller waited for.
    """
    if output is not None and not json:
        msg = "--output is for --json; redirect the waterfall instead: otel-voicebot trace ID > FILE"
        raise UsageError(msg)
    from otel_voicebot.reports.trace import compute, document, find  # noqa: PLC0415 - not for --help

    def look(opened: "Opened") -> "Trace":
        session, named = find(opened.ids(), name)
        return compute(opened.spans_of(session), opened.scope, session, named if turn is None else turn)

    found = ask(Question(data), datetime.now(UTC), look, brief=True)
    if json:
        out.write_json(document(found), output)
    else:
        show(found)
    return finish(found.scope)


def show(found: "Trace") -> None:
    """The waterfall and what stands under it, on stdout."""
    from otel_voicebot.reports.details import details, events, said  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.waterfall import draw  # noqa: PLC0415

    out.picture(draw(found, out.width(), out.glyphs()))
    out.write("\n", None)
    out.write_table([], [details(found), said(found), events(found)], None)
