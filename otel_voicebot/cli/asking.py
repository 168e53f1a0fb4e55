"""What every reading verb does: open the data for a question, answer, say what was left out."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from otel_voicebot.cli.options import Question
from otel_voicebot.cli.output import note
from otel_voicebot.errors import NoDataError, UnreadableDataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_voicebot.models.pricing import Prices
    from otel_voicebot.reports.exchanges import Exchanges
    from otel_voicebot.reports.scope import Scope
    from otel_voicebot.reports.source import Opened

__all__ = ["ask", "exchanges", "finish", "nothing", "prices_of"]

Answer = TypeVar("Answer")


def ask(
    question: Question,
    now: datetime,
    compute: "Callable[[Opened], Answer]",
    *,
    brief: bool = False,
    cut: bool = True,
    kpis: bool = False,
    kept: bool = False,
) -> Answer:
    """The answer from the question's data; ``kpis``: it is about KPIs. The rest, and errors, as of ``source.ask``."""
    from otel_voicebot.reports import source  # noqa: PLC0415 - not for --help

    asked = question.settings()
    terms = asked.terms(now) if kpis else None
    return source.ask(asked.data, question.selection(now), now, compute, brief=brief, cut=cut, terms=terms, kept=kept)


def prices_of(question: Question, prices: Path | None) -> "Prices":
    """The prices of ``--prices``, or of the setting, beside those that are known anyway.

    Raises:
        UsageError: the file is wrong; the message names it, the field and the value.
    """
    from otel_voicebot.models.pricing import Prices  # noqa: PLC0415 - not for --help

    return Prices.read(prices or question.settings().prices)


def exchanges(question: Question, now: datetime, compute: "Callable[[Exchanges], Answer]") -> Answer:
    """The answer from the question's exchanges, as they were stored where they are up to date."""
    from otel_voicebot.reports import exchanges as reading  # noqa: PLC0415 - not for --help

    return reading.ask(question.settings().data, question.selection(now), now, compute)


def nothing(scope: "Scope", what: str) -> NoDataError | UnreadableDataError:
    """The error of a question that no row answers."""
    from otel_voicebot.reports import scope as scopes  # noqa: PLC0415 - not for --help

    return scopes.nothing(scope, what)


def finish(scope: "Scope") -> int:
    """The exit code of an answer: 4, with a note, when files had to be left out, else 0."""
    if not scope.unreadable:
        return 0
    first = scope.unreadable[0]
    more = f", and {len(scope.unreadable) - 1} more" if len(scope.unreadable) > 1 else ""
    note(f"otel-voicebot: left out what can't be read: {first.path} ({first.reason}){more}")
    return UnreadableDataError.code
