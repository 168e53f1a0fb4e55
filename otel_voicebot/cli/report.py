"""``otel-voicebot report``."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import ask, exchanges, finish, nothing
from otel_voicebot.cli.options import (
    Bot,
    Channel,
    Csv,
    Data,
    Environment,
    Json,
    Output,
    Question,
    Since,
    Until,
    Variant,
    chosen_format,
)

if TYPE_CHECKING:
    from otel_voicebot.reports.report import Report

__all__ = ["report", "write_report"]

Format = Annotated[
    Literal["table", "json", "csv", "jsonl", "parquet", "md", "html"] | None,
    typer.Option("--format", help="How to write it. Default: table.", show_default=False),
]
Section = Annotated[
    Literal["kpis", "waits", "components", "outcomes", "errors", "segments"] | None,
    typer.Option(
        "--section",
        help="Only this part. csv, jsonl and parquet hold one part: kpis unless told. segments (where the waits went) "
        "is only computed when asked for.",
        show_default=False,
    ),
]


def report(
    *,
    data: Data = None,
    since: Since = None,
    until: Until = None,
    bot: Bot = None,
    channel: Channel = None,
    variant: Variant = None,
    environment: Environment = None,
    section: Section = None,
    format_: Format = None,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
) -> int:
    """KPIs, waits, component latencies, outcomes, errors.

    Each KPI has its unit, what it is a share of, and what was left out. What is unknown is missing and says why.
    """
    kind = chosen_format(format_, "table", json=json, csv=csv)
    question = Question(data, since, until, bot, channel, variant, environment)
    from otel_voicebot.reports.report import compute  # noqa: PLC0415 - not for --help

    now = datetime.now(UTC)
    found = ask(question, now, lambda opened: compute(opened.engine, opened.scope), brief=True)
    if not found.value("sessions"):
        raise nothing(found.scope, "sessions")
    if section == "segments":
        from otel_voicebot.reports.shares import shares  # noqa: PLC0415 - not for --help

        segments, scope = exchanges(question, now, lambda waits: (shares(waits.turns()), waits.scope))
        found = replace(found, segments=segments, scope=scope)
    write_report(found, kind, section, output)
    return finish(found.scope)


def write_report(found: "Report", kind: str, section: str | None, output: Output) -> None:
    """Write a report in one of the formats."""
    from otel_voicebot.reports.report import document, grids, head  # noqa: PLC0415 - not for --help

    if kind == "json":
        out.write_json(document(found), output)
        return
    sections = grids(found)
    one = section or "kpis"
    chosen = [sections[one]] if section or kind in ("csv", "jsonl", "parquet") else list(sections.values())
    if kind == "table":
        out.write_table(head(found), chosen, output)
    else:
        out.write(out.grids_as(kind, "Voicebot report", head(found), chosen), output)
