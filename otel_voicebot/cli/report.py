"""``otel-voicebot report``."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import ask, exchanges, finish, nothing
from otel_voicebot.cli.options import (
    Bot,
    Channel,
    Csv,
    Data,
    Environment,
    Format,
    Json,
    Output,
    Question,
    Since,
    Until,
    Variant,
    chosen_format,
)
from otel_voicebot.errors import UsageError

if TYPE_CHECKING:
    from otel_voicebot.reports.report import Report
    from otel_voicebot.reports.source import Opened

__all__ = ["report", "write_report"]

Section = Annotated[
    Literal[
        "kpis",
        "waits",
        "components",
        "outcomes",
        "errors",
        "segments",
        "breakdowns",
        "costs",
        "cost_by_session",
        "agents",
        "services",
        "caches",
        "intents",
        "workflows",
        "compliance",
        "mos",
        "latencies",
        "sla",
        "load",
        "concurrency",
        "conversation",
        "speech",
        "drop_off",
        "journey",
        "adapters",
        "bots",
    ]
    | None,
    typer.Option(
        "--section",
        metavar="NAME",
        help="Only this part. csv, jsonl and parquet hold one part: kpis unless told. Those from segments on are only "
        "computed when asked for.",
        show_default=False,
    ),
]
PriceFile = Annotated[
    Path | None,
    typer.Option(
        "--prices",
        metavar="FILE",
        help="What speech, lines and models of your own cost (YAML or JSON). Default: $OTEL_VOICEBOT_PRICES.",
        show_default=False,
    ),
]
TargetsFile = Annotated[
    Path | None,
    typer.Option(
        "--targets",
        metavar="FILE",
        help="Latency targets of the section sla (YAML or JSON). Default: $OTEL_VOICEBOT_TARGETS.",
        show_default=False,
    ),
]


Engine = Annotated[
    Literal["duckdb", "spark"],
    typer.Option("--engine", help="What runs the models; spark: PySpark in this process (extra spark, Java 17)."),
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
    prices: PriceFile = None,
    targets: TargetsFile = None,
    engine: Engine = "duckdb",
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
    now = datetime.now(UTC)
    if engine == "spark" and section in _DUCKDB_ONLY:
        raise UsageError(f"the section {section} cuts waits, which only DuckDB does: leave --engine spark out")
    found = _computed(question, now, section or "kpis", (prices, targets), spark=engine == "spark")
    if not found.value("sessions"):
        raise nothing(found.scope, "sessions")
    if section == "segments":
        from otel_voicebot.reports.shares import shares  # noqa: PLC0415 - not for --help

        segments, scope = exchanges(question, now, lambda waits: (shares(waits.turns()), waits.scope))
        found = replace(found, segments=segments, scope=scope)
    write_report(found, kind, section, output)
    return finish(found.scope)


_DUCKDB_ONLY: Final = ("segments", "breakdowns")
"""Sections for which waits have to be cut."""


def _computed(
    question: Question, now: datetime, section: str, files: tuple[Path | None, Path | None], *, spark: bool
) -> "Report":
    """The report with the section that was asked for; ``files``: those of prices and of targets."""
    prices, targets = files
    from otel_voicebot.models.price_file import read_prices  # noqa: PLC0415 - not for --help
    from otel_voicebot.models.pricing import Prices, preload  # noqa: PLC0415
    from otel_voicebot.models.targets import DEFAULTS, as_rows, cache_rows, read_targets  # noqa: PLC0415
    from otel_voicebot.reports.report import compute  # noqa: PLC0415
    from otel_voicebot.reports.sections import ON_REQUEST  # noqa: PLC0415
    from otel_voicebot.reports.sections import section as asked_for  # noqa: PLC0415

    threading.Thread(target=preload, daemon=True).start()  # a fifth of a second, while the engine reads files
    settings = question.settings()
    priced, limits = prices or settings.prices, targets or settings.targets
    listing = Prices(None if priced is None else read_prices(priced))
    held = DEFAULTS if limits is None else read_targets(limits)

    def answer(opened: "Opened") -> "Report":
        told = listing.give(opened.engine)
        opened.engine.give("targets", as_rows(held))
        opened.engine.give("cache_targets", cache_rows(held))
        found = replace(compute(opened.engine, opened.scope), prices=told)
        return replace(found, asked=asked_for(section, opened.engine)) if section in ON_REQUEST else found

    brief = not (section in ON_REQUEST and ON_REQUEST[section].whole)
    return ask(question, now, answer, brief=brief, cut=section == "breakdowns", kpis=True, spark=spark)


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
