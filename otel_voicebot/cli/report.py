"""``otel-voicebot report``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish, nothing
from otel_voicebot.cli.options import Output, PriceFile, Question, Written, grouped
from otel_voicebot.errors import UsageError
from otel_voicebot.giving_way import uncollected

if TYPE_CHECKING:
    from otel_voicebot.reports.grid import Grid
    from otel_voicebot.reports.report import Report
    from otel_voicebot.reports.source import Opener

__all__ = ["Parts", "answer", "report", "write_report"]

SECTIONS: Final = (
    *("kpis", "waits", "components", "outcomes", "errors", "segments", "breakdowns"),
    *("summary", "costs", "cost_by_session", "agents", "agent_costs", "services", "quotas", "caches", "cache_entries"),
    *("intents", "workflows", "compliance", "mos", "latencies", "sla", "load", "concurrency", "conversation"),
    *("speech", "drop_off", "journey", "adapters", "intent_schemas", "bots"),
)
GROUPINGS: Final = (
    *("bot", "channel", "variant", "environment", "intent", "outcome", "end_reason", "escalated_by", "hour"),
    *("day", "week", "month", "provider", "model", "agent", "decision", "adapter", "cache", "intent_schema"),
    *("tenant", "platform", "location"),
)

Section = Annotated[
    list[str] | None,
    typer.Option(
        "--section",
        metavar="NAME",
        help=f"Only this part; may be given several times: {', '.join(SECTIONS)}. csv, jsonl and parquet hold one: "
        "kpis unless told. Those from segments on are only computed when asked for.",
        show_default=False,
    ),
]
GroupBy = Annotated[
    list[str] | None,
    typer.Option(
        "--group-by",
        metavar="NAME",
        help=f"KPIs by group of calls; may be given several times: {', '.join(GROUPINGS)}. At most 100 groups.",
        show_default=False,
    ),
]
Change = Annotated[
    bool, typer.Option("--change", help="With what each KPI was in the period before, as long as from --since on.")
]
Charts = Annotated[
    Path | None,
    typer.Option(
        "--charts", metavar="DIR", help="Also draw charts there, as PNG files. html has them.", show_default=False
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


Engine = Annotated[
    Literal["duckdb", "spark"],
    typer.Option("--engine", help="What runs the models; spark: PySpark in this process (extra spark, Java 17)."),
]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a report holds."""

    section: Section = None
    group_by: GroupBy = None
    change: Change = False
    charts: Charts = None
    prices: PriceFile = None
    targets: TargetsFile = None
    quotas: QuotasFile = None


@grouped
def report(*, question: Question, parts: Parts, engine: Engine = "duckdb", written: Written) -> int:
    """KPIs, waits, component latencies, outcomes, errors.

    Each KPI has its unit, what it is a share of, and what was left out. What is unknown is missing and says why.
    """
    with uncollected():  # a tenth of its start would go to looking for garbage among what it imports
        return answer(question, parts, written.kind(), written.output, engine)


def answer(question: Question, parts: Parts, kind: str, output: Path | None, engine: str = "duckdb") -> int:
    """A report in a format; returns the exit code.

    Raises:
        UsageError: options contradict each other, or name what there isn't.
        NoDataError: there is no session.
    """
    section, group_by, charts = parts.section or (), parts.group_by or (), parts.charts
    _check(kind, section, group_by)
    if engine == "spark":
        _check_spark(question, section, {"--group-by": group_by, "--charts": charts, "--format html": kind == "html"})
    if parts.change and question.since is None:
        raise UsageError("--change compares with the period before: say with --since when this one begins")
    from otel_voicebot.reports import answer as answers  # noqa: PLC0415 - not for --help

    now, settings = datetime.now(UTC), question.settings()
    wanted = answers.Wanted(
        sections=section,
        group_by=group_by,
        change=parts.change,
        pictures=kind == "html" or charts is not None,
        prices=parts.prices,
        targets=parts.targets,
        quotas=parts.quotas,
        on=_spark() if engine == "spark" else None,
    )
    chosen, terms = question.selection(now), settings.terms(question.base(now))
    found = answers.answer(settings.data, chosen, terms, wanted.filled(settings))
    if not found.value("sessions"):
        raise nothing(found.scope, "sessions")
    if charts is not None:
        _draw(found, charts)
    write_report(found, kind, section, output)
    return finish(found.scope)


def _check(kind: str, section: Sequence[str], group_by: Sequence[str]) -> None:
    """Raises UsageError where a name is unknown, or a format for one table is to hold several."""
    for option, given, known in (("--section", section, SECTIONS), ("--group-by", group_by, GROUPINGS)):
        if wrong := [name for name in given if name not in known]:
            msg = f"{option} {wrong[0]!r} is none; there is {', '.join(known)}"
            raise UsageError(msg)
    parts = [*section, *(["--group-by"] if group_by else ())]
    if kind in out.ONE_PART and len(dict.fromkeys(parts)) > 1:
        msg = (
            f"{kind} holds one part, not {' and '.join(dict.fromkeys(parts))}: ask for one, or choose json, md or html"
        )
        raise UsageError(msg)


_CUT: Final = ("segments", "breakdowns")
"""Sections for which waits have to be cut."""


def _check_spark(question: Question, sections: Sequence[str], asked: Mapping[str, object]) -> None:
    """Raises UsageError where something is asked for that only DuckDB does."""
    cut = next((name for name in sections if name in _CUT), None)
    if cut is not None:
        msg = f"the section {cut} cuts waits, which only DuckDB does: leave --engine spark out"
        raise UsageError(msg)
    asked = {**asked, "--as-of": question.as_of}
    only = next((option for option, given in asked.items() if given), None)
    if only is not None:
        msg = f"{only} is something that only DuckDB does: leave it out, or --engine spark"
        raise UsageError(msg)


def _spark() -> "Opener":
    from otel_voicebot.models.spark import SparkEngine, start  # noqa: PLC0415 - an extra

    session = start()
    return lambda found, chosen, told: SparkEngine(found, chosen, terms=told, session=session)


def _draw(found: "Report", directory: Path) -> None:
    from otel_voicebot.reports import drawings  # noqa: PLC0415 - a second to import

    for path in drawings.draw(found, directory):
        out.note(f"drawn: {path}")


def write_report(found: "Report", kind: str, section: Sequence[str] | None, output: Output) -> None:
    """Write a report in one of the formats."""
    from otel_voicebot.reports.report import document, head  # noqa: PLC0415 - not for --help

    def chosen() -> "list[Grid]":
        return _chosen(found, kind, section)

    if kind == "html":
        from otel_voicebot.reports.board import render  # noqa: PLC0415 - the template engine

        out.write(render(found, chosen()), output)
    else:
        out.write_answer(kind, "Voicebot report", lambda: head(found), chosen, lambda: document(found), output)


def _chosen(found: "Report", kind: str, section: Sequence[str] | None) -> "list[Grid]":
    """The sections that are asked for; of a format for one table, one."""
    from otel_voicebot.reports.groups import long  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.report import grids  # noqa: PLC0415

    sections = grids(found)
    names = list(dict.fromkeys(section or ()))
    one = kind in out.ONE_PART
    if found.grouped is not None:
        names = ["groups", *names]
        if one:
            sections["groups"] = long(found.grouped)
    return [sections[name] for name in names or (("kpis",) if one else sections)]
