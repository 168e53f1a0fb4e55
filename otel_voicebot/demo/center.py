"""The call centre: what all calls share, and each call's bot and caller put together."""

import os
import threading
import tomllib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from otel_voicebot.demo.audio import Pcm
from otel_voicebot.demo.bank import CoreBanking, Tools
from otel_voicebot.demo.bot import Bot, Equipment
from otel_voicebot.demo.caller import Caller, Plan, plans
from otel_voicebot.demo.dialogue import Dialogue
from otel_voicebot.demo.knowledge import Knowledge, SemanticCache
from otel_voicebot.demo.line import Line, Pace
from otel_voicebot.demo.model import TemplateModel, passages
from otel_voicebot.demo.recogniser import Recogniser
from otel_voicebot.demo.recordings import DATA, load
from otel_voicebot.demo.results import CallEnded, CallResult, CallStarted, OnProgress, Progress, TurnDone
from otel_voicebot.demo.understanding import Understanding
from otel_voicebot.demo.voice import Espeak, Voice, pick

__all__ = ["CallCenter"]

_MODELS: Final = {"A": ("templates-large", 0.45), "B": ("templates-small", 0.25)}
"""The experiment: variant B has a smaller model that thinks for a shorter time (name, median seconds)."""


class CallCenter:
    """Holds calls, from any thread, between ``with`` and its end.

    Attributes:
        voice: the bot's first voice; espeak-ng stands in when it fails.
    """

    def __init__(
        self, concurrency: int, *, snr: float | None, seed: int, speed: float, on_progress: OnProgress
    ) -> None:
        self.voice = pick()
        self._snr = snr
        self._seed = seed
        self._on_progress = on_progress
        self._telling = threading.Lock()
        self._recordings = load()
        self._recogniser = Recogniser(min(concurrency, os.cpu_count() or 1))
        questions = tomllib.loads((DATA / "training.toml").read_text())["intents"]
        self._shared = Equipment(
            recogniser=self._recogniser,
            understanding=Understanding(),
            knowledge=Knowledge(passages(), questions),
            cache=SemanticCache([text for intent in passages() for text in questions[intent]]),
            pace=Pace(speed),
        )
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._recogniser)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @staticmethod
    def plans(calls: int | None) -> tuple[Plan, ...]:
        """The first ``calls`` of ``calls.toml``, again from the first after the last; all of them once when None."""
        known = plans()
        return known if calls is None else tuple(known[index % len(known)] for index in range(calls))

    def hold(self, number: int, plan: Plan) -> CallResult:
        """Hold one call."""
        self._tell(CallStarted(number, plan.name))
        result = self._bot(number, plan).hold(plan, lambda said: self._tell(TurnDone(number, plan.name, said)))
        self._tell(CallEnded(number, result))
        return result

    def _bot(self, number: int, plan: Plan) -> Bot:
        seed, pace = f"{self._seed}/{number}", self._shared.pace
        line = Line(pace, snr=self._snr, seed=self._seed * 1000 + number)
        name, thinks = _MODELS[plan.variant]
        return Bot(
            self._shared,
            TemplateModel(name, thinks, pace, seed=seed, slower_by=plan.slow_model),
            self._voices(plan),
            Dialogue(Tools(CoreBanking(pace, seed=seed, down=plan.core_banking == "down"))),
            line,
            Caller(plan, line, self._recordings, seed=seed),
        )

    def _voices(self, plan: Plan) -> Sequence[Voice]:
        first = self.voice if plan.voice_fails is None else Hoarse(self.voice, plan.voice_fails)
        return first, Espeak()

    def _tell(self, progress: Progress) -> None:
        with self._telling:
            self._on_progress(progress)


class Hoarse:
    """A voice that fails at its n-th sentence: the fault of the call "voice fails once"."""

    def __init__(self, voice: Voice, fails_at: int) -> None:
        self.provider, self.model = voice.provider, voice.model
        self._voice = voice
        self._left = fails_at

    def speak(self, text: str, first_chunk: Callable[[], object]) -> Pcm:
        """See ``Voice``."""
        self._left -= 1
        if self._left == 0:
            raise RuntimeError("the synthesiser has crashed (a fault that the demo makes on purpose)")
        return self._voice.speak(text, first_chunk)
