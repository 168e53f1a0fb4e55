"""``analytics-report``, also ``otel-voicebot analytics-report``."""

from typing import Annotated, Literal

import typer

from otel_voicebot.cli import report
from otel_voicebot.cli.options import (
    AsOf,
    Bot,
    Channel,
    Data,
    Environment,
    Intent,
    Json,
    Output,
    PriceFile,
    Since,
    Until,
    Variant,
)

__all__ = ["analytics_report"]


def analytics_report(
    *,
    export: Annotated[
        Literal["csv", "json", "parquet", "jsonl", "md", "html"] | None,
        typer.Option("--export", help="How to write it. Default: a table for people.", show_default=False),
    ] = None,
    output: Output = None,
    section: report.Section = None,
    data: Data = None,
    since: Since = None,
    until: Until = None,
    bot: Bot = None,
    channel: Channel = None,
    variant: Variant = None,
    environment: Environment = None,
    intent: Intent = None,
    as_of: AsOf = None,
    group_by: report.GroupBy = None,
    change: report.Change = False,
    charts: report.Charts = None,
    prices: PriceFile = None,
    targets: report.TargetsFile = None,
    quotas: report.QuotasFile = None,
    json: Json = False,
) -> int:
    """The report as a file for BI tools.

    The same as `otel-voicebot report --format`: csv, jsonl and parquet hold one section, the KPIs unless told.
    """
    return report.report(
        data=data,
        since=since,
        until=until,
        bot=bot,
        channel=channel,
        variant=variant,
        environment=environment,
        intent=intent,
        as_of=as_of,
        group_by=group_by,
        change=change,
        charts=charts,
        section=section,
        prices=prices,
        targets=targets,
        quotas=quotas,
        format_=export,
        json=json,
        output=output,
    )
