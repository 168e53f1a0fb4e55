"""``analytics-report``, also ``otel-voicebot analytics-report``."""

from typing import Annotated, Literal

import typer

from otel_voicebot.cli import report
from otel_voicebot.cli.options import Json, Output, Question, chosen_format, grouped

__all__ = ["analytics_report"]


@grouped
def analytics_report(
    *,
    export: Annotated[
        Literal["csv", "json", "parquet", "jsonl", "md", "html"] | None,
        typer.Option("--export", help="How to write it. Default: a table for people.", show_default=False),
    ] = None,
    output: Output = None,
    question: Question,
    parts: report.Parts,
    json: Json = False,
) -> int:
    """The report as a file for BI tools.

    The same as `otel-voicebot report --format`: csv, jsonl and parquet hold one section, the KPIs unless told.
    """
    return report.answer(question, parts, chosen_format(export, "table", json=json), output)
