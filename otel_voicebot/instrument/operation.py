"""The parts of a bot as blocks: what each can say about its work. The factories are in ``components``."""

# ruff: noqa: A002 - `input` is the GenAI conventions' own word

from typing import TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from otel_voicebot import semconv
from otel_voicebot.instrument.block import SpanBlock, nanoseconds, quiet
from otel_voicebot.instrument.context import scope_of

__all__ = [
    "Cache",
    "Endpointing",
    "Handoff",
    "Llm",
    "Nlu",
    "Operation",
    "Stt",
    "Tool",
    "Tts",
    "current_operation",
]


class Operation(SpanBlock):
    """Work of one component."""

    _had_chunk = False

    def _begin(self, around: Context) -> None:
        self._had_chunk = False
        super()._begin(around)

    @quiet
    def first_chunk(self, at: float | None = None) -> None:
        """The first transcript, token or audio is there (unix seconds; None is now); only the first call counts."""
        if not self._had_chunk:
            self._had_chunk = True
            waited = max(0, nanoseconds(at) - self._start_ns)
            self._span.set_attribute(semconv.TIME_TO_FIRST_CHUNK, waited / 1e9)

    @quiet
    def discard(self) -> None:
        """Its result was thrown away (speculation that came to nothing): no part of the wait is put down to it."""
        self._span.set_attribute(semconv.DISCARDED, True)  # noqa: FBT003 - the attribute's value

    @quiet
    def served_by(self, *, agent: str | None = None, decision: str | None = None, adapter: str | None = None) -> None:
        """Which agent did the work, which type of decision it served, which model adapter was in use."""
        self.set({semconv.AGENT: agent, semconv.DECISION: decision, semconv.ADAPTER: adapter})


class Streaming(Operation):
    """A component with output that can come in pieces: STT, LLM, TTS.

    Of a decorated generator the first item is the first chunk; of a function that gives its result whole, the result
    is.
    """

    def _first_item(self) -> None:
        self.first_chunk()


class Endpointing(Operation):
    """From the caller's end of speech to the decision that the turn is over."""

    @quiet
    def outcome(self, outcome: str) -> None:
        """Committed (the turn was decided), resumed (the caller went on), dropped."""
        self._span.set_attribute(semconv.ENDPOINTING_OUTCOME, outcome)


class Stt(Streaming):
    """Speech to text."""

    @quiet
    def transcript(self, text: str, *, confidence: float | None = None, audio_s: float | None = None) -> None:
        """What was understood: its words are counted, its text is recorded only when content capture is on.

        Args:
            text: the final transcript; empty when nothing was understood.
            confidence: the recogniser's, 0 to 1.
            audio_s: seconds of audio heard.
        """
        self.set(
            {
                semconv.USER_WORDS: len(text.split()),
                semconv.USER_TEXT: text,
                semconv.STT_CONFIDENCE: confidence,
                semconv.AUDIO_DURATION: audio_s,
            }
        )

    @quiet
    def wer(self, *, errors: int, words: int, reference: str | None = None) -> None:
        """Against a reference: wrong words, the reference's words, its text (recorded only with content capture on)."""
        self.set({semconv.WER_ERRORS: errors, semconv.WER_WORDS: words, semconv.REFERENCE_TEXT: reference})


class Llm(Streaming):
    """A model call."""

    @quiet
    def tokens(self, *, input: int | None = None, output: int | None = None, cached: int | None = None) -> None:
        """Tokens of the prompt, of the answer, and those of the prompt that the provider's cache served."""
        self.set({semconv.INPUT_TOKENS: input, semconv.OUTPUT_TOKENS: output, semconv.CACHED_INPUT_TOKENS: cached})

    @quiet
    def answered_by(self, model: str) -> None:
        """The model that answered, where it is not the one asked for."""
        self._span.set_attribute(semconv.RESPONSE_MODEL, model)

    @quiet
    def messages(self, *, input: str | None = None, output: str | None = None, system: str | None = None) -> None:
        """Prompt, answer and system prompt as text; recorded only when content capture is on."""
        self.set({semconv.INPUT_MESSAGES: input, semconv.OUTPUT_MESSAGES: output, semconv.SYSTEM_INSTRUCTIONS: system})


class Tts(Streaming):
    """Text to speech."""

    @quiet
    def text(self, text: str) -> None:
        """What is spoken: characters and words are counted, the text is recorded only when content capture is on."""
        self.set({semconv.TTS_CHARACTERS: len(text), semconv.BOT_WORDS: len(text.split()), semconv.BOT_TEXT: text})

    @quiet
    def audio(self, *, seconds: float) -> None:
        """Length of the audio that was made."""
        self._span.set_attribute(semconv.AUDIO_DURATION, seconds)

    @quiet
    def mos(self, score: float, *, kind: str) -> None:
        """Mean opinion score of the audio, 1 to 5, and how it was made: survey, dnsmos, ..."""
        self.set({semconv.MOS: score, semconv.MOS_KIND: kind})


class Nlu(Operation):
    """Intent classification and entity extraction."""

    @quiet
    def intent(self, name: str | None, *, confidence: float | None = None, fallback: bool | None = None) -> None:
        """The intent chosen (None: none), the classifier's confidence 0 to 1, and whether none was good enough."""
        self.set(
            {
                semconv.INTENT_NAME: name,
                semconv.INTENT_CONFIDENCE: confidence,
                semconv.INTENT_FALLBACK: fallback,
            }
        )


class Cache(Operation):
    """A cache lookup."""

    @quiet
    def hit(self, hit: bool, *, entry: str | None = None) -> None:  # noqa: FBT001 - it is the answer
        """Whether the lookup was answered, and the entry's id (never its text)."""
        self.set({semconv.CACHE_HIT: hit, semconv.CACHE_ENTRY: entry})


class Tool(Operation):
    """A tool that the model asked for."""

    @quiet
    def call(self, *, arguments: str | None = None, result: str | None = None) -> None:
        """Arguments and result as text; recorded only when content capture is on."""
        self.set({semconv.TOOL_ARGUMENTS: arguments, semconv.TOOL_RESULT: result})


class Handoff(Operation):
    """A transfer to a human or to another bot; it failed when its span did."""

    @quiet
    def blocked(self) -> None:
        """Refused because it would go in a circle."""
        self._span.set_attributes({semconv.HANDOFF_BLOCKED: True})


OperationT = TypeVar("OperationT", bound=Operation)


def current_operation(kind: type[OperationT]) -> OperationT:
    """The innermost open operation of that kind, e.g. ``current_operation(Stt)`` in a decorated function.

    Where there is none, one that records nothing.
    """
    scope = scope_of(otel_context.get_current())
    block = scope.block if scope is not None else None
    while block is not None and not isinstance(block, kind):
        block = block._outer  # noqa: SLF001 - blocks know each other
    return block if block is not None else kind("")
