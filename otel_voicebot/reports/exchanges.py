"""The turns of a question with the segments of their waits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from otel_voicebot.models import Selection
from otel_voicebot.reports import source
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.waits import COLUMNS

__all__ = ["Exchanges", "ask"]

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Turns; readable until the question is answered.

    Attributes:
        turns: the selected ones, with ``waits.COLUMNS``.
        scope: what they are of.
        whole: the turns of some sessions with all columns.
    """

    turns: pa.Table
    scope: Scope
    whole: Callable[[Sequence[str]], pa.Table]


def ask(data: Path, selection: Selection, now: datetime, compute: Callable[[Exchanges], Answer]) -> Answer:
    """The answer to ``compute``; arguments and errors as of ``source.ask``."""

    def look(opened: source.Opened) -> Answer:
        turns = opened.engine.sql(f"SELECT COLUMNS('^({'|'.join(COLUMNS)})$') FROM turns")  # noqa: S608 - names of ours
        return compute(Exchanges(turns, opened.scope, opened.engine.turns_of))

    return source.ask(data, selection, now, look)
