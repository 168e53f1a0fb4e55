"""The simulated callers: who calls (``calls.toml``), what they answer, when they interrupt or hang up."""

import random
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from otel_voicebot.demo.dialogue import Question
from otel_voicebot.demo.line import Line
from otel_voicebot.demo.recordings import DATA, Recording

__all__ = ["Caller", "Plan", "plans"]

_REACTION_S: Final = (0.25, 0.6)
"""How long a caller takes to answer."""
_REPEATS: Final = 2
"""So often a caller says the last thing again before giving up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One call of ``calls.toml``; the file explains the fields."""

    name: str
    channel: str
    variant: str
    caller: str
    voice: str
    says: Mapping[Question, tuple[str, ...]]
    ends: str
    patience: float | None = None
    interrupts: Mapping[Question, float] = field(default_factory=dict)
    slow_model: tuple[float, ...] = ()
    core_banking: str = "up"
    voice_fails: int | None = None
    csat: int | None = None
    nps: int | None = None


def plans(data: Path = DATA) -> tuple[Plan, ...]:
    """Every call, in order. Raises TypeError when a field is unknown or missing."""
    calls = tomllib.loads((data / "calls.toml").read_text())["calls"]
    return tuple(Plan(**call) for call in calls)


class Caller:
    """A caller on a line, who understands the bot perfectly and speaks in recordings."""

    def __init__(self, plan: Plan, line: Line, recordings: Mapping[str, Recording], *, seed: str) -> None:
        self._plan = plan
        self._line = line
        self._recordings = recordings
        self._random = random.Random(seed)  # noqa: S311 - reaction times, not secrets
        self._said: dict[Question, int] = {}
        self._reference: Recording | None = None

    def bot_begins(self, question: Question | None) -> None:
        """The bot begins to speak: it has answered; some callers interrupt it."""
        self._line.stay()
        if question is not None and (after := self._plan.interrupts.get(question)) and question not in self._said:
            self._say(question, after)

    def bot_ended(self, question: Question) -> None:
        """The bot has asked something: answer, or hang up when there is nothing to say or it was all said in vain."""
        if self._line.speech and self._line.speech[-1].end > time.time():
            return  # already speaking
        if question in self._plan.says and self._said.get(question, 0) < len(self._plan.says[question]) + _REPEATS:
            self._say(question, self._random.uniform(*_REACTION_S))
        else:
            self._line.leave(after=_REACTION_S[1])

    def waits(self) -> None:
        """The caller has spoken and waits for an answer, as long as patience lasts."""
        if self._plan.patience is not None:
            self._line.leave(after=self._plan.patience)

    def take_reference(self) -> Recording | None:
        """What was said last; None when it was asked for before."""
        reference, self._reference = self._reference, None
        return reference

    def _say(self, question: Question, after: float) -> None:
        lines = self._plan.says[question]
        times = self._said.get(question, 0)
        self._said[question] = times + 1
        self._reference = self._recordings[f"{self._plan.voice}.{lines[min(times, len(lines) - 1)]}"]
        self._line.say(self._reference, after=after)
