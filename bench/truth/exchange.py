"""One exchange: its stages as they really ran, and the truth of its wait, from the dependency graph.

By definition (as everywhere in this project) the wait before the turn's decision is endpointing's, whatever ran then.
Times are nanoseconds after the caller's true end of speech.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from bench.truth.draws import MS, Draw
from bench.truth.graph import UNATTRIBUTED, Moment, Part, clipped, origin, path, then

__all__ = ["INCOMPLETE", "Exchange", "Stage", "build"]

Mark = Literal["", "cancelled", "background", "discarded"]

INCOMPLETE: Final = frozenset({"early_tts", "no_token", "background", "fixed_filler"})
"""The cases in which no span tells what was waited for: whose words a voice speaks, when they came, who waited."""

_HOOK: Final = "orchestration"


@dataclass(frozen=True)
class Stage:
    """A piece of work as it ran; `first` is its first transcript, token or audio."""

    key: str
    component: str
    start: int
    end: int
    first: int | None = None
    failed: bool = False
    mark: Mark = ""
    outcome: str = ""
    second_choice: bool = False


@dataclass
class Exchange:
    """An exchange: what ran, and what really made the caller wait.

    Attributes:
        spoke: when the caller began to speak (negative).
        end: of the wait: first bot audio, or the moment in which the caller gave up.
        over: end of the turn.
        reason: of an abandoned one, else empty.
        traits: complications that it really has.
    """

    spoke: int
    end: int
    over: int
    reason: str
    traits: frozenset[str]
    truth: list[Part]
    stages: list[Stage] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Answered, with a full set of marks."""
        return not self.reason and not self.traits & INCOMPLETE


def build(draw: Draw) -> Exchange:
    """The exchange that was drawn."""
    return _Builder(draw).build()


class _Builder:
    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.stages: list[Stage] = []
        self.traits: set[str] = set()
        self.voices: list[Moment] = []
        self.decision = origin()
        self.given_up = origin()
        self.token: Moment | None = None

    def build(self) -> Exchange:
        draw = self.draw
        self.spoke = -draw["speech"] - draw["pause_in_speech"]
        ready = self.hear()
        heard_early = "preemptive" in draw and "batch" not in draw and ready.heard.at < self.decision.at
        if "fixed_filler" in draw and not heard_early:
            self.traits.add("fixed_filler")
            self.speak(then(draw["fill"], _HOOK, None, ready.both), "filler")
        if heard_early:
            self.traits.add("preemptive")
            gathered = then(draw["ask"], _HOOK, None, ready.heard)
        else:
            gathered = self.understand(ready.both)
        hit = "cache" in draw and "hit" in draw and not heard_early
        text = gathered if hit else self.think(gathered)
        if text is not None:
            self.speak(self.moderate(text), "tts")
        self.background(ready.both)
        return self.finish(self.voices[0] if self.voices else None)

    def step(self, name: str, *needed: Moment) -> Moment:
        """A pause of the bot's own code."""
        return then(self.draw[name], _HOOK, None, *needed)

    def run(self, component: str, segment: str, key: str, start: Moment, length: int) -> Moment:
        """A stage from a moment on; when it ends."""
        self.stages.append(Stage(key, component, start.at, start.at + length))
        return then(length, segment, key, start)

    # ---- before the answer ------------------------------------------------------------------------------------------

    def hear(self) -> "_Heard":
        """Endpointing and recognition."""
        draw = self.draw
        if "resumed" in draw:
            self.traits.add("resumed")
            paused = -draw["speech"] // 2 - draw["pause_in_speech"]
            resumed = paused + draw["pause_in_speech"]
            self.stages.append(Stage("endpointing 0", "endpointing", paused, resumed, outcome="resumed"))
            if "spare" in draw:
                self.speculate(paused + draw["pause_in_speech"] // 2, resumed + 30 * MS)
        wait = draw["endpointing"]
        self.stages.append(Stage("endpointing", "endpointing", 0, wait, outcome="committed"))
        self.decision = then(wait, "endpointing", "endpointing", origin())
        if "batch" in draw:
            start = self.step("hear", self.decision)
            heard = then(draw["batch_stt"], "stt_tail", "stt", start)
            self.stages.append(Stage("stt", "stt", start.at, heard.at, first=heard.at))
        else:
            heard = then(draw["stt"], "stt_tail", "stt", origin())
            first = min(self.spoke + draw["stt"], heard.at)
            self.stages.append(Stage("stt", "stt", self.spoke, heard.at, first=first))
        if "discarded" in draw and "preemptive" not in draw:
            self.speculate(wait - min(wait // 2, 200 * MS), wait + 5 * MS)
        return _Heard(heard, self.step("hear", self.decision, heard))

    def speculate(self, start: int, end: int) -> None:
        """A model call on words that turned out not to be all: nothing of it is used."""
        self.traits.add("discarded")
        mark: Mark = "discarded" if "marked_background" in self.draw else "cancelled"
        first = start + 50 * MS if mark == "discarded" and start + 50 * MS < end else None
        self.stages.append(Stage(f"spare {start}", "llm", start, end, first, mark=mark))

    def understand(self, ready: Moment) -> Moment:
        """Intent, retrieval, cache: at the same time, or one after the other."""
        draw, done = self.draw, [ready]
        for component, segment in (("nlu", "nlu"), ("cache", _HOOK), ("rag", "rag")):
            if component not in draw:
                continue
            start = self.step("ask", *done) if "in_turn" in draw else self.step("ask", ready)
            done.append(self.run(component, segment, component, start, draw[component]))
        return self.step("call", *done)

    # ---- the model --------------------------------------------------------------------------------------------------

    def think(self, start: Moment) -> Moment | None:
        """The model's calls and the tools between them; when the first sentence is there, None if it never is."""
        draw = self.draw
        rounds = (0, 1, 2) if "second_tools" in draw else (0, 2)
        for number in rounds if "tools" in draw else (2,):
            begun = self.attempts(start) if number == rounds[0] or "tools" not in draw else start
            if begun is None:
                return None
            text = self.call(begun, number)
            if number == 2:
                return text
            if "model_filler" in draw and not self.voices:
                self.traits.add("filler")
                self.speak(text, "filler")
            start = self.step("again", *self.tools(self.step("tool", text), number))
        raise AssertionError("the last round gives the text")

    def attempts(self, start: Moment) -> Moment | None:
        """What fails before a call that succeeds; None when nothing does."""
        draw = self.draw
        hopeless = {"abandoned", "error", "spare"} <= draw.cases
        if "retry" not in draw and not hopeless:
            return start
        self.traits.add("retry")
        for number in range(2 if hopeless else 1):
            key = f"failed llm {number} {start.at}"
            self.stages.append(
                Stage(key, "llm", start.at, start.at + draw["fail"], failed=True, second_choice=number > 0)
            )
            failed = then(draw["fail"], "llm_first_token", key, start)
            start = then(draw["pause"] if number == 0 else 0, _HOOK, None, failed)
        if hopeless:
            self.given_up = start
            return None
        return start

    def call(self, start: Moment, number: int) -> Moment:
        """A call that succeeds: first token, then the text or the call of a tool."""
        draw, key = self.draw, f"llm {number}"
        length = draw[f"token_{number}"]
        if number == 2 and "hedge" in draw and length > draw["hedge"]:
            return self.hedged(start, length)
        token = then(length, "llm_first_token", key, start)
        text = then(draw[f"text_{number}"], "llm_speakable", key, token)
        # a call for a tool ends a little after the tool has begun, an answer streams on
        end = text.at + (draw["stream"] if number == 2 else 4 * MS)
        first: int | None = token.at
        if "no_token" in draw:
            self.traits.add("no_token")
            first = None
        self.stages.append(
            Stage(key, "llm", start.at, end, first, second_choice="retry" in self.traits and "fallback" in draw)
        )
        self.token = token
        return text

    def hedged(self, start: Moment, length: int) -> Moment:
        """The call took long and another was made beside it: the faster one is used, the other is stopped or fails."""
        draw = self.draw
        self.traits.add("hedge")
        asked = then(draw["hedge"], "llm_first_token", "llm 2", start)
        other = then(draw["token_1"], "llm_first_token", "llm hedge", asked)
        own = then(length, "llm_first_token", "llm 2", start)
        wins = other.at < own.at
        token, key, lost = (other, "llm hedge", "llm 2") if wins else (own, "llm 2", "llm hedge")
        text = then(draw["text_2"], "llm_speakable", key, token)
        begun = {"llm 2": start.at, "llm hedge": asked.at}
        self.stages.append(Stage(key, "llm", begun[key], text.at + draw["stream"], token.at))
        fails: Mark = "" if "fallback" in draw else "cancelled"
        self.stages.append(Stage(lost, "llm", begun[lost], token.at + 2 * MS, failed=not fails, mark=fails))
        self.token = token
        return text

    def tools(self, start: Moment, number: int) -> list[Moment]:
        """One tool, or two at the same time."""
        draw = self.draw
        done = [self.run("tool", "tool", f"tool {number}", start, draw[f"tool_{number}"])]
        if number == 0 and "twin" in draw:
            done.append(self.run("tool", "tool", "twin 0", start, draw["twin_0"]))
        return done

    # ---- speaking ---------------------------------------------------------------------------------------------------

    def moderate(self, text: Moment) -> Moment:
        """The output may have to pass a check before it is spoken."""
        if "moderation" not in self.draw or "fixed_filler" in self.draw:
            return text
        self.traits.add("moderation")
        return self.run("api", "tool", "moderation", self.step("check", text), self.draw["moderation"])

    def speak(self, text: Moment, key: str) -> None:
        """Text becomes audio, and audio is played."""
        draw = self.draw
        start = self.step("hand_over", text, self.decision)
        if key == "tts" and "tts_fails" in draw and "early_tts" not in draw:
            self.traits.add("tts_fails")
            failed = start.at + draw["tts_fail"]
            self.stages.append(Stage("failed tts", "tts", start.at, failed, failed=True))
            silent = then(draw["tts_fail"], "tts_first_audio", "failed tts", start)
            if {"abandoned", "error"} <= draw.cases:
                self.given_up = silent
                return
            start = self.step("voice_retry", silent)
        opened = start.at
        early = key == "tts" and "early_tts" in draw
        if early and self.token is not None and self.token.at > self.decision.at:
            self.traits.add("early_tts")
            opened = self.token.at
        audio = then(draw["tts"], "tts_first_audio", key, start)
        self.stages.append(
            Stage(
                key,
                "tts",
                opened,
                audio.at + 150 * MS,
                audio.at,
                second_choice=key == "tts" and "tts_fails" in self.traits,
            )
        )
        if "sentences" in draw and key == "tts":
            later = audio.at + draw["sentence"]
            self.stages.append(Stage("later tts", "tts", later, later + 2 * draw["tts"], later + draw["tts"]))
        self.voices.append(then(draw["playout"], "playout_start", None, audio))

    def background(self, ready: Moment) -> None:
        """Work that nobody waits for: logged as such, or not."""
        for name in ("background", "marked_background"):
            if name in self.draw:
                self.traits.add(name)
                mark: Mark = "background" if name == "marked_background" else ""
                end = ready.at + self.draw["background"]
                self.stages.append(Stage(name, "api", ready.at, end, mark=mark))

    # ---- the end ----------------------------------------------------------------------------------------------------

    def finish(self, heard: Moment | None) -> Exchange:
        """Answered, or abandoned before: then all that was under way is cut off."""
        draw = self.draw
        reason = ""
        if heard is None:
            lost = max(self.given_up.at, self.decision.at)
            end = lost + draw["patience"]
            truth = [*path(self.given_up), Part(lost, end, UNATTRIBUTED, None)]
        else:
            end, truth = heard.at, path(heard)
            if "abandoned" in draw:
                end = self.decision.at + int((0.2 + 0.7 * draw.share) * (end - self.decision.at))
        if heard is None or "abandoned" in draw:
            failed = any(s.failed and s.component in ("llm", "tts") and s.start < end for s in self.stages)
            other = "spoke_again" if "spoke_again" in draw else "hung_up" if "hung_up" in draw else "session_ended"
            reason = "error" if failed else other
        over = end if reason else end + draw["reply"]
        if not reason and "barge_in" in draw:
            self.traits.add("barge_in")
            over = end + draw["reply"] // 3
        if not reason and "playout_span" in draw:
            self.stages.append(Stage("playout", "playout", end, over))
        stages = [_cut(stage, over) for stage in self.stages if stage.start < over]
        return Exchange(self.spoke, end, over, reason, frozenset(self.traits), self.told(truth, end), stages)

    def told(self, parts: Sequence[Part], end: int) -> list[Part]:
        """The truth, of which the time before the decision is endpointing's."""
        decided = min(self.decision.at, end)
        before = [Part(0, decided, "endpointing", "endpointing")] if decided > 0 else []
        return before + clipped(parts, decided, end)


@dataclass(frozen=True)
class _Heard:
    heard: Moment
    both: Moment
    """The turn is decided and the words are there."""


def _cut(stage: Stage, over: int) -> Stage:
    if stage.end <= over:
        return stage
    first = stage.first if stage.first is not None and stage.first <= over else None
    mark: Mark = stage.mark or "cancelled"
    return replace(stage, end=over, first=first, failed=False, mark=mark)
