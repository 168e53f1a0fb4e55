"""``otel-voicebot why``."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import exchanges, finish, nothing
from otel_voicebot.cli.options import Question, Written, grouped

if TYPE_CHECKING:
    import pyarrow as pa

    from otel_voicebot.reports.periods import Period
    from otel_voicebot.reports.scope import Scope

__all__ = ["why"]


@grouped
def why(
    *,
    question: Question,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="SINCE..UNTIL",
            help="The period to compare with. Default: as long a time, just before.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws that tell changes from noise.")] = 0,
    written: Written,
) -> int:
    """Why callers wait longer, or shorter, than in the period before.

    The change of the mean response gap, split exactly by segment and owner, each with what is noise and three turns to
    look at. Default: the last 24 hours against the 24 hours before.
    """
    kind = written.kind()
    from otel_voicebot.reports import changes  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.periods import pair  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.why import compute  # noqa: PLC0415

    now = datetime.now(UTC)
    labels = replace(question, since=None, until=None)
    this, before = pair(question.since, question.until, against, labels.base(now))
    found = [_read(_within(labels, period), now) for period in (before, this)]
    (old, old_scope), (new, new_scope) = found
    answer = compute(old, new, (old_scope, new_scope), seed)
    out.write_answer(
        kind,
        "Why waits changed",
        lambda: changes.head(answer),
        lambda: [changes.table(answer)] if kind in out.ONE_PART else changes.grids(answer),
        lambda: changes.document(answer),
        written.output,
    )
    return max(finish(scope) for _, scope in found)


def _read(question: Question, now: datetime) -> "tuple[pa.Table, Scope]":
    turns, scope = exchanges(question, now, lambda found: (found.turns(), found.scope))
    from otel_voicebot.reports.why import answered  # noqa: PLC0415 - not for --help

    if not answered(turns):
        raise nothing(scope, "answered turns")
    return turns, scope


def _within(question: Question, period: "Period") -> Question:
    since, until = (None if when is None else when.isoformat() for when in (period.since, period.until))
    return replace(question, since=since, until=until)
