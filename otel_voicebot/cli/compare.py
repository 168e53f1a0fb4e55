"""``otel-voicebot compare``."""

import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import ask, finish, prices_of
from otel_voicebot.cli.options import PriceFile, Question, Written, grouped
from otel_voicebot.errors import UsageError

if TYPE_CHECKING:
    from otel_voicebot.reports.compare import Comparison
    from otel_voicebot.reports.sides import Sides

__all__ = ["compare"]

By = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="COLUMN",
        help="What A and B are: variant, bot, channel, environment or another column of sessions, or period. "
        "Default: period where both hold `..`, else variant.",
        show_default=False,
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="A:B",
        help="How calls were to be split. Default: 50:50 for variants, unchecked for other columns.",
        show_default=False,
    ),
]
_TWO: Final = re.compile(r"(\d+(?:\.\d+)?)[:/](\d+(?:\.\d+)?)")


@grouped
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="The one side: a variant, or a period FROM..TO.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other: is it better or worse?")],
    *,
    by: By = None,
    kpi: Annotated[
        list[str] | None, typer.Option("--kpi", metavar="NAME", help="Only this KPI; may be given several times.")
    ] = None,
    primary: Annotated[
        str | None,
        typer.Option("--primary", metavar="NAME", help="The KPI that decides. Default: response_gap_mean_s."),
    ] = None,
    split: Split = None,
    min_calls: Annotated[int, typer.Option("--min-calls", min=10, metavar="N", help="Calls a side needs.")] = 100,
    fail_on: Annotated[
        Literal["worse", "no-evidence"],
        typer.Option("--fail-on", help="Exit with 1 when B is worse, or also when it is not shown to be better."),
    ] = "worse",
    prices: PriceFile = None,
    question: Question,
    written: Written,
) -> int:
    """Is B better or worse than A? Two variants, bots, periods, KPI by KPI.

    The call is the unit of all statistics, not the turn. Each KPI has its difference with a 95 % interval, a p value
    adjusted for the number of KPIs, and the smallest difference that would have been found. Exits with 1 when B is
    worse, or when the sample ratio shows that the two can't be compared.
    """
    kind = written.kind()
    from otel_voicebot.reports.compare import Plan, of  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.sides import PERIOD  # noqa: PLC0415

    now = datetime.now(UTC)
    sides = _sides(a, b, by, question.base(now))
    _consistent(sides, split, question)
    plan = Plan(tuple(kpi or ()), primary, _split(split), min_calls)
    if sides.by == PERIOD:  # other hours need not be read
        window = sides.window
        question = replace(question, **{end: when.isoformat() for end, when in asdict(window).items() if when})
    listing, brief = prices_of(question, prices), sides.by == PERIOD
    found = ask(question, now, lambda opened: of(opened, sides, plan, listing), brief=brief, cut=False, kpis=True)
    _write(found, kind, written.output)
    return finish(found.scope) or _code(found, fail_on)


def _write(found: "Comparison", kind: str, output: Path | None) -> None:
    from otel_voicebot.reports.comparison import document, grid, head  # noqa: PLC0415 - not for --help

    out.write_answer(kind, "Comparison", lambda: head(found), lambda: [grid(found)], lambda: document(found), output)


def _code(found: "Comparison", fail_on: str) -> int:
    if found.verdict in ("worse", "refused"):
        return 1
    return int(fail_on == "no-evidence" and found.verdict != "better")


def _sides(a: str, b: str, by: str | None, now: datetime) -> "Sides":
    """What A and B are.

    Raises:
        UsageError: a period can't be read, or both are the same.
    """
    from otel_voicebot.reports.periods import period  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.sides import PERIOD, Sides  # noqa: PLC0415 - not for --help

    periods = [".." in side for side in (a, b)]
    if by is None and any(periods) and not all(periods):
        msg = f"{a!r} and {b!r}: one is a period and one is not; with names that hold `..` say --by variant"
        raise UsageError(msg)
    if by == PERIOD or (by is None and all(periods)):
        return Sides(period(a, now), period(b, now), PERIOD)
    return Sides(a, b, by or "variant")


def _split(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    found = _TWO.fullmatch(text.strip())
    if not found:
        msg = f"--split {text!r} is no split: write 50:50 or 90:10"
        raise UsageError(msg)
    return float(found[1]), float(found[2])


def _consistent(sides: "Sides", split: str | None, question: Question) -> None:
    """Raises UsageError where options contradict what is compared."""
    from otel_voicebot.reports.sides import PERIOD  # noqa: PLC0415 - not for --help

    if sides.by == PERIOD:
        given = {"--since": question.since, "--until": question.until, "--split": split}
    else:
        given = {f"--{sides.by}": getattr(question, sides.by, None)} if sides.by in Question.__annotations__ else {}
    if wrong := [name for name, value in given.items() if value is not None]:
        msg = f"{wrong[0]} makes no sense where sides are told apart by {sides.by}"
        raise UsageError(msg)
