"""What every reading verb does: open the data for a question, answer, say what was left out."""

from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from otel_voicebot.cli.options import Question
from otel_voicebot.cli.output import note
from otel_voicebot.errors import NoDataError, UnreadableDataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_voicebot.reports.exchanges import Exchanges
    from otel_voicebot.reports.scope import Scope
    from otel_voicebot.reports.source import Opened

__all__ = ["ask", "exchanges", "finish", "nothing"]

Answer = TypeVar("Answer")


def ask(
    question: Question,
    now: datetime,
    compute: "Callable[[Opened], Answer]",
    *,
    brief: bool = False,
    cut: bool = True,
    kpis: bool = False,
    spark: bool = False,
) -> Answer:
    """The answer from the question's data; ``kpis``: it is about KPIs; ``spark``: computed there.

    Raises what ``reports.source.ask`` raises, and what Spark does that can't start.
    """
    from otel_voicebot.models import Terms  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports import source  # noqa: PLC0415

    asked = question.settings()
    limits = Terms(short_session_s=asked.short_session_s, human_interaction_usd=asked.human_interaction_usd, as_of=now)
    terms = limits if kpis else None
    on = None
    if spark:
        from otel_voicebot.models.spark import SparkEngine, start  # noqa: PLC0415 - an extra

        session = start()
        on = lambda found, chosen, told: SparkEngine(found, chosen, terms=told, session=session)  # noqa: E731
    return source.ask(asked.data, question.selection(now), now, compute, brief=brief, cut=cut, terms=terms, on=on)


def exchanges(question: Question, now: datetime, compute: "Callable[[Exchanges], Answer]") -> Answer:
    """The answer from the question's exchanges, as they were stored where they are up to date."""
    from otel_voicebot.reports import exchanges as reading  # noqa: PLC0415 - not for --help

    return reading.ask(question.settings().data, question.selection(now), now, compute)


def nothing(scope: "Scope", what: str) -> NoDataError | UnreadableDataError:
    """The error of a question that no row answers; damage goes first, as the answer may lie in what can't be read."""
    filters = "".join(f", {name} {value}" for name, value in scope.filters.items())
    message = f"no {what}: {scope.window()}{filters}, in {scope.data}"
    if not scope.unreadable:
        return NoDataError(message)
    paths = tuple(item.path for item in scope.unreadable)
    return UnreadableDataError(f"{message}; what can't be read was left out: {', '.join(paths[:3])}", paths)


def finish(scope: "Scope") -> int:
    """The exit code of an answer: 4, with a note, when files had to be left out, else 0."""
    if not scope.unreadable:
        return 0
    first = scope.unreadable[0]
    more = f", and {len(scope.unreadable) - 1} more" if len(scope.unreadable) > 1 else ""
    note(f"otel-voicebot: left out what can't be read: {first.path} ({first.reason}){more}")
    return UnreadableDataError.code
