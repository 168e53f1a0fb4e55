"""``otel-voicebot logs``."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish, nothing
from otel_voicebot.cli.options import Data, Question, Written, grouped

__all__ = ["logs"]


@grouped
def logs(
    *,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="Of this session: its id, or the beginning of it.")
    ] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", metavar="ID", help="Of this trace: its id in hex, or the beginning of it.")
    ] = None,
    severity: Annotated[
        Literal["trace", "debug", "info", "warn", "error", "fatal"] | None,
        typer.Option("--severity", help="At least this severe.", show_default=False),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, metavar="N", help="At most so many: the last ones.")
    ] = 1000,
    data: Data = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Records from this time on: ISO 8601, or 15m, 24h, 7d ago."),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Records before this time.")] = None,
    written: Written,
) -> int:
    """Log records of a call.

    A record belongs to the session that it names, else to that of its trace. Messages are stored only where content
    capture is on; without it their lengths are shown.
    """
    kind = written.kind()
    now = datetime.now(UTC)
    question = Question(data, since, until)
    period = question.period(now)
    from otel_voicebot.reports import export  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.logs import Wanted, compute, document, grid, head  # noqa: PLC0415

    found = compute(question.settings().data, Wanted(session, trace, severity, period.since, period.until, limit), now)
    if not found.found:
        raise nothing(found.scope, "log records")
    if kind in out.ONE_PART:
        out.write_all(export.encode(found.records, kind), written.output)
    else:
        out.write_answer(
            kind, "Log records", lambda: head(found), lambda: [grid(found)], lambda: document(found), written.output
        )
    if found.left_out and kind != "table":
        out.note(f"the last {limit} of {found.found} records; --limit gives more")
    return finish(found.scope)
