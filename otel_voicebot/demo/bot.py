"""The bank's voicebot: hears, understands, decides, answers.

This is also how one instruments a bot: the telemetry in it is all that a bot has to say.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import otel_voicebot as vb
from otel_voicebot import semconv
from otel_voicebot.demo.audio import RATE
from otel_voicebot.demo.caller import Caller, Plan
from otel_voicebot.demo.dialogue import Dialogue, Step
from otel_voicebot.demo.ears import Ears
from otel_voicebot.demo.knowledge import Knowledge, SemanticCache
from otel_voicebot.demo.line import Line, Pace
from otel_voicebot.demo.model import Prompt, TemplateModel
from otel_voicebot.demo.mouth import Mouth
from otel_voicebot.demo.recogniser import Recogniser
from otel_voicebot.demo.results import CallResult, Utterance
from otel_voicebot.demo.understanding import Understanding
from otel_voicebot.demo.voice import Voice

__all__ = ["Bot", "Equipment"]

BOT: Final = "bank"
BYTES: Final = 2
HANDOFF_S: Final = 0.8
"""How long the transfer to a human takes."""
SAID_AT_ONCE: Final = frozenset({"greeting", "again", "handoff", "trouble", "goodbye"})
"""Fixed sentences, for which no model is asked."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What all calls share."""

    recogniser: Recogniser
    understanding: Understanding
    knowledge: Knowledge
    cache: SemanticCache
    pace: Pace


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call went: one of ``semconv.OUTCOMES``, and why it ended."""

    outcome: str
    reason: str


class Bot:
    """One call. ``turn_done`` is called after each exchange with what was said and understood."""

    def __init__(
        self,
        equipment: Equipment,
        model: TemplateModel,
        voices: Sequence[Voice],
        dialogue: Dialogue,
        line: Line,
        caller: Caller,
    ) -> None:
        self._shared = equipment
        self._model = model
        self._voices = voices
        self._dialogue = dialogue
        self._line = line
        self._caller = caller
        self._ears = Ears(line)
        self._ending = Ending("unresolved", "completed")
        self._utterances: list[Utterance] = []

    # ---- the call ---------------------------------------------------------------------------------------------------

    def hold(self, plan: Plan, turn_done: Callable[[Utterance], None]) -> CallResult:
        """Hold the call from greeting to end."""
        began = time.monotonic()
        with vb.session(bot=BOT, channel=plan.channel, variant=plan.variant, caller=plan.caller) as call:
            vb.event("conversation_start")
            goes_on = self._greet()
            while goes_on and self._ears.wait_for_speech():
                goes_on = self._exchange()
                turn_done(self._utterances[-1])
            if goes_on:
                self._ends("abandoned", "hung_up")
            call.outcome(self._ending.outcome, intent=self._dialogue.intent, end_reason=self._ending.reason)
            call.feedback(csat=plan.csat, nps=plan.nps)
            vb.event("conversation_end")
        return CallResult(
            plan=plan.name,
            session_id=call.session_id,
            ending=self._ending.outcome,
            intent=self._dialogue.intent,
            utterances=tuple(self._utterances),
            seconds=time.monotonic() - began,
        )

    def _greet(self) -> bool:
        with vb.turn() as turn:
            return self._reply(turn, Step("greeting", "need"), "")

    def _exchange(self) -> bool:
        onset = self._line.speech_start
        with vb.turn(start=onset) as turn:
            turn.user_speech_start(onset)
            text = self._listen(turn)
            return self._reply(turn, self._decide(text), text)

    # ---- hearing ----------------------------------------------------------------------------------------------------

    def _listen(self, turn: vb.Turn) -> str:
        """What the caller says until the turn is the bot's."""
        outcome = "resumed"
        while outcome == "resumed":
            self._ears.wait_for_silence()
            spoke_until = self._line.speech_end
            with vb.endpointing(start=spoke_until) as endpointing:
                outcome = self._ears.decide()
                endpointing.outcome(outcome)
        turn.user_speech_end(spoke_until)
        self._caller.waits()
        return self._recognise(self._ears.utterance())

    def _recognise(self, audio: bytes) -> str:
        recogniser, said = self._shared.recogniser, self._caller.take_reference()
        with vb.stt(provider=recogniser.provider, model=recogniser.model) as stt:
            heard = recogniser.recognise(audio)
            stt.first_chunk()
            stt.transcript(heard.text, confidence=heard.confidence, audio_s=len(audio) / BYTES / RATE)
            utterance = Utterance.of(said, heard.text)
            if said is not None:
                stt.wer(errors=utterance.errors, words=utterance.words, reference=utterance.reference)
        vb.event("user_message")
        self._utterances.append(utterance)
        return heard.text

    # ---- deciding ---------------------------------------------------------------------------------------------------

    def _decide(self, text: str) -> Step:
        understanding = self._shared.understanding
        with vb.nlu(provider=understanding.provider, model=understanding.model) as nlu:
            meaning = understanding.read(text)
            nlu.intent(meaning.intent, confidence=meaning.confidence, fallback=meaning.fallback)
            nlu.set({semconv.INTENT_SCHEMA: understanding.schema})
        vb.event("intent_classified")
        try:
            return self._dialogue.next(meaning)
        except TimeoutError:
            self._ending = Ending("failed", "error")
            return self._dialogue.failed()

    # ---- answering --------------------------------------------------------------------------------------------------

    def _reply(self, turn: vb.Turn, step: Step, heard: str) -> bool:
        """Say what the step says; True when the call goes on."""
        mouth = Mouth(turn, self._voices, self._shared.pace, lambda: self._caller.bot_begins(step.expects))
        self._compose(step, heard, mouth)
        self._play(turn, mouth)
        if self._line.gone:
            turn.end_reason("hung_up")
            return self._ends("abandoned", "hung_up")
        vb.event("bot_response")
        if step.compliance and not mouth.stopped:
            vb.event("compliance_prompt", {semconv.COMPLIANCE_PROMPT: step.compliance})
        if step.handoff:
            with vb.handoff("human", requested_by=step.handoff):
                self._shared.pace.sleep(HANDOFF_S)
            return self._ends("escalated", "transferred")
        if step.expects is None:
            return self._ends("resolved" if self._dialogue.solved else "unresolved", "completed")
        self._caller.bot_ended(step.expects)
        return True

    def _compose(self, step: Step, heard: str, mouth: Mouth) -> None:
        if step.template == "faq":
            self._answer_question(heard, mouth)
        elif step.template in SAID_AT_ONCE:
            mouth.say(self._model.text(Prompt(step.template, step.facts)))
        else:
            self._ask_model(Prompt(step.template, step.facts, heard), mouth)
        mouth.finish()

    def _answer_question(self, question: str, mouth: Mouth) -> None:
        """From the cache when a similar question was answered before, else retrieved and worded by the model."""
        with vb.cache("semantic", level="L1") as lookup:
            known = self._shared.cache.find(question)
            lookup.hit(known is not None, entry=known.entry if known else None)
        if known is not None:
            mouth.say(known.text)
            return
        with vb.rag(provider="scikit-learn", model="tfidf-cosine"):
            passage = self._shared.knowledge.find(question)
        if self._ask_model(Prompt("faq", {"passage": passage}, question), mouth):
            self._shared.cache.keep(question, passage)

    def _ask_model(self, prompt: Prompt, mouth: Mouth) -> bool:
        """Speak while the model writes; False when the caller left before it was done."""
        written = 0
        with vb.llm(provider=self._model.provider, model=self._model.model) as llm:
            llm.served_by(decision=prompt.template)
            for word in self._model.stream(prompt, lambda: self._line.gone):
                llm.first_chunk()
                mouth.say(word)
                written += 1
            llm.tokens(input=prompt.tokens, output=written)
        return not self._line.gone

    def _play(self, turn: vb.Turn, mouth: Mouth) -> None:
        """Listen while the bot speaks, and fall silent when the caller does not."""
        while mouth.speaking and not mouth.stopped:
            if self._ears.speech_starts():
                mouth.stop()
                if mouth.audible:
                    turn.interrupted()
                else:
                    turn.end_reason("spoke_again")
        mouth.close()

    def _ends(self, outcome: str, reason: str) -> bool:
        if self._ending.outcome != "failed":
            self._ending = Ending(outcome, reason)
        return False
