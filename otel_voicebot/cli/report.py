"""``otel-voicebot report``."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import ask, exchanges, finish, listed, nothing
from otel_voicebot.cli.options import (
    Bot,
    Channel,
    Csv,
    Data,
    Environment,
    Format,
    Json,
    Output,
    PriceFile,
    Question,
    Since,
    Until,
    Variant,
    chosen_format,
)

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
        "summary",
        "costs",
        "cost_by_session",
        "agents",
        "agent_costs",
        "services",
        "quotas",
        "caches",
        "cache_entries",
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
        "intent_schemas",
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
TargetsFile = Annotated[
    Path | None,
    typer.Option(
        "--targets",
        metavar="FILE",
        help="Latency targets of the section sla (YAML or JSON). Default: $OTEL_VOICEBOT_TARGETS.",
        show_default=False,
    ),
]

QuotasFile = Annotated[
    Path | None,
    typer.Option(
        "--quotas",
        metavar="FILE",
        help="Quotas and budgets of the sections services and quotas (YAML or JSON). Default: $OTEL_VOICEBOT_QUOTAS.",
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
    prices: PriceFile = None,
    targets: TargetsFile = None,
    quotas: QuotasFile = None,
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
    found = _computed(question, now, section or "kpis", Files(prices, targets, quotas))
    if not found.value("sessions"):
        raise nothing(found.scope, "sessions")
    if section == "segments":
        from otel_voicebot.reports.shares import shares  # noqa: PLC0415 - not for --help

        segments, scope = exchanges(question, now, lambda waits: (shares(waits.turns()), waits.scope))
        found = replace(found, segments=segments, scope=scope)
    write_report(found, kind, section, output)
    return finish(found.scope)


class Files(NamedTuple):
    """What a user says of prices and limits; None: as the settings say."""

    prices: Path | None = None
    targets: Path | None = None
    quotas: Path | None = None


def _computed(question: Question, now: datetime, section: str, files: Files) -> "Report":
    """The report with the section that was asked for."""
    from otel_voicebot.models.pricing import preload  # noqa: PLC0415 - not for --help
    from otel_voicebot.models.quotas import Moment, read_quotas  # noqa: PLC0415
    from otel_voicebot.models.quotas import as_rows as quota_rows  # noqa: PLC0415
    from otel_voicebot.models.targets import DEFAULTS, as_rows, cache_rows, read_targets  # noqa: PLC0415
    from otel_voicebot.reports.report import compute  # noqa: PLC0415
    from otel_voicebot.reports.sections import ON_REQUEST  # noqa: PLC0415
    from otel_voicebot.reports.sections import section as asked_for  # noqa: PLC0415

    threading.Thread(target=preload, daemon=True).start()  # a fifth of a second, while the engine reads files
    settings, chosen = question.settings(), question.selection(now)
    limits, quotas = files.targets or settings.targets, files.quotas or settings.quotas
    listing = listed(question, files.prices)
    held = DEFAULTS if limits is None else read_targets(limits)
    moment = Moment(chosen.until or now, chosen.since, chosen.every)
    allowed = quota_rows(None if quotas is None else read_quotas(quotas), moment)

    def answer(opened: "Opened") -> "Report":
        told = listing.give(opened.engine)
        opened.engine.give("targets", as_rows(held))
        opened.engine.give("cache_targets", cache_rows(held))
        opened.engine.give("quotas", allowed)
        found = replace(compute(opened.engine, opened.scope), prices=told)
        return replace(found, asked=asked_for(section, opened.engine)) if section in ON_REQUEST else found

    brief = not (section in ON_REQUEST and ON_REQUEST[section].whole)
    return ask(
        question, now, answer, brief=brief, cut=section == "breakdowns", kpis=True, kept=section not in ON_REQUEST
    )


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
