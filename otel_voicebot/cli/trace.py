"""``otel-voicebot trace``."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish
from otel_voicebot.cli.options import Data, Json, Output, Question
from otel_voicebot.errors import UsageError

if TYPE_CHECKING:
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
    from otel_voicebot.reports.named import trace_of  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.trace import document  # noqa: PLC0415

    found = trace_of(name, Question(data).settings().data, datetime.now(UTC), turn)
    if json:
        out.write_json(document(found), output)
    elif html:
        from otel_voicebot.reports.page import render  # noqa: PLC0415 - not for --help

        out.write(render(found), output)
    else:
        show(found)
    return finish(found.scope)


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
