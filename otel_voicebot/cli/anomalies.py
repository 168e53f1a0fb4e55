"""``otel-voicebot anomalies``."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish, prices_of
from otel_voicebot.cli.options import PriceFile, Question, Written, grouped
from otel_voicebot.errors import UsageError

if TYPE_CHECKING:
    from otel_voicebot.reports.anomalies import Found

__all__ = ["anomalies"]


@grouped
def anomalies(
    *,
    alpha: Annotated[
        float,
        typer.Option("--alpha", metavar="SHARE", help="The chance that a window in which nothing happens has any."),
    ] = 0.01,
    min_change: Annotated[
        float,
        typer.Option(
            "--min-change",
            min=0,
            metavar="PERCENT",
            help="Latency and cost must be higher than usual by so much.",
        ),
    ] = 25,
    min_error_points: Annotated[
        float,
        typer.Option("--min-error-points", min=0, metavar="POINTS", help="Error rates must be higher by so much."),
    ] = 2,
    min_calls: Annotated[int, typer.Option("--min-calls", min=3, metavar="N", help="Calls that a bin needs.")] = 8,
    history: Annotated[
        str, typer.Option("--history", metavar="TIME", help="How long the past is that bins are compared with.")
    ] = "7d",
    prices: PriceFile = None,
    chart: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE", help="Also draw them, as a PNG.", show_default=False)
    ] = None,
    question: Question,
    written: Written,
) -> int:
    """What was slower, failed more or cost more than usual, when, and which calls show it.

    Each bot, provider and model (of cost each agent and decision) is compared with its own past, bin by bin. --since
    says from when on bins are judged; the days before it (--history) are what they are compared with. Exits with 1
    when there are anomalies, with 0 when there are none.
    """
    kind = written.kind()
    now = datetime.now(UTC)
    from otel_voicebot.reports.anomalies import find  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.detector import Rule  # noqa: PLC0415

    if not 0 < alpha < 1:
        msg = f"--alpha {alpha:g} is no chance: write a number between 0 and 1, such as 0.01"
        raise UsageError(msg)
    past = _past(history, now)
    rule = Rule(alpha, min_change / 100, min_error_points / 100, min_calls, history_s=int(past.total_seconds()))
    found = find(question.settings().data, question.selection(now), rule, prices_of(question, prices), now)
    _write(found, kind, written.output)
    if chart is not None:
        _draw(found, chart)
    return finish(found.scope) or int(bool(found.incidents))


def _draw(found: "Found", chart: Path) -> None:
    from otel_voicebot.reports.anomaly_chart import picture  # noqa: PLC0415 - matplotlib

    if found.incidents:
        out.note(f"written: {picture(found, chart)}")
    else:
        out.note(f"otel-voicebot: no picture {chart}: there is nothing to draw")


def _past(text: str, now: datetime) -> timedelta:
    """How long the past is.

    Raises:
        UsageError: it can't be read, or is shorter than an hour.
    """
    from otel_voicebot.reports.periods import moment  # noqa: PLC0415 - not for --help

    start = moment(text, now, "--history")
    if start is None or now - start < timedelta(hours=1):
        msg = f"--history {text!r} is too short: write 7d, 24h, an hour at least"
        raise UsageError(msg)
    return now - start


def _write(found: "Found", kind: str, output: Path | None) -> None:
    from otel_voicebot.reports.incidents import document, grids, head  # noqa: PLC0415 - not for --help

    out.write_answer(kind, "Anomalies", lambda: head(found), lambda: grids(found), lambda: document(found), output)
