"""What a run of the demo gives back, and what it tells while it runs.

Light: nothing of the extra is needed to import it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from otel_voicebot.demo.wer import score

if TYPE_CHECKING:
    from otel_voicebot.demo.recordings import Recording

__all__ = ["CallEnded", "CallResult", "CallStarted", "DemoResult", "OnProgress", "Progress", "TurnDone", "Utterance"]


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a caller said and what was understood.

    Attributes:
        recording: name of the recording; None when the recogniser heard something that nobody said.
        reference: the words said.
        hypothesis: the words understood.
        errors: substitutions, deletions and insertions (normaliser ``wer.NORMALISER``).
        words: words of the reference.
    """

    recording: str | None
    reference: str
    hypothesis: str
    errors: int
    words: int

    @classmethod
    def of(cls, said: "Recording | None", hypothesis: str) -> Self:
        """Compare a transcript with the recording that was played."""
        reference = said.text if said is not None else ""
        return cls(said.name if said is not None else None, reference, hypothesis, *score(reference, hypothesis))


@dataclass(frozen=True, slots=True)
class CallResult:
    """One call.

    Attributes:
        plan: name of the call in ``calls.toml``.
        session_id: as on its spans.
        ending: resolved, unresolved, escalated, abandoned or failed.
        intent: what the caller wanted; None when it was never understood.
        utterances: of the caller, in order.
        seconds: length of the call on the clock.
    """

    plan: str
    session_id: str
    ending: str
    intent: str | None
    utterances: tuple[Utterance, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    """A whole run.

    Attributes:
        calls: in the order in which they came in.
        speed: 1.0 is real conversation time; 10 means that all audio and all waiting passed ten times as fast.
        voice: provider of the bot's voice: flite or espeak-ng.
        snr_db: signal to noise ratio on the callers' lines; None is clean.
        seconds: length of the run on the clock.
    """

    calls: tuple[CallResult, ...]
    speed: float
    voice: str
    snr_db: float | None
    seconds: float

    @property
    def wer_errors(self) -> int:
        """Wrong words of all calls, of utterances with a reference."""
        return sum(said.errors for call in self.calls for said in call.utterances if said.recording)

    @property
    def wer_words(self) -> int:
        """Reference words of all calls."""
        return sum(said.words for call in self.calls for said in call.utterances)

    @property
    def wer(self) -> float | None:
        """Corpus word error rate; None when nothing was said."""
        return self.wer_errors / self.wer_words if self.wer_words else None


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call came in. ``call`` counts from 1."""

    call: int
    plan: str


@dataclass(frozen=True, slots=True)
class TurnDone:
    """An exchange of a call is over."""

    call: int
    plan: str
    utterance: Utterance


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call is over."""

    call: int
    result: CallResult


Progress = CallStarted | TurnDone | CallEnded
OnProgress = Callable[[Progress], None]
