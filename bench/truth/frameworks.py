"""Generated exchanges as calls with the spans of Pipecat and LiveKit, and the truth as far as those can tell it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from bench import wire
from bench.truth.draws import MS, Draw
from bench.truth.exchange import Exchange, Stage, build
from bench.truth.graph import Part, clipped
from bench.truth.native import EPOCH, Told, World, Written

__all__ = ["livekit", "pipecat", "plain"]

_EXOTIC: Final = (
    *("resumed", "batch", "nlu", "rag", "cache", "hit", "retry", "hedge", "moderation", "preemptive", "discarded"),
    *("background", "marked_background", "early_tts", "no_token", "tts_fails", "fixed_filler", "model_filler"),
    *("abandoned", "error", "playout_span"),
)
_STEPS: Final = {"hear": MS, "ask": MS, "call": 2 * MS, "again": 2 * MS, "tool": MS, "hand_over": MS}
_NEAR: Final = 40 * MS
_TURNS_A_CALL: Final = 5
Attributes = dict[str, wire.Value]


def plain(drawn: Iterable[Draw]) -> list[Draw]:
    """Those exchanges that both frameworks' spans can tell of: the model, tools, several sentences, barge-in.

    Left out are those in which transcript and silence wait are over at almost the same time: within 30 ms the cut takes
    the one for the other.
    """
    simple = (draw.but({**_STEPS, "endpointing": 600 * MS}, (), _EXOTIC) for draw in drawn)
    return [draw for draw in simple if abs(draw["stt"] - draw["endpointing"]) > _NEAR]


def pipecat(drawn: Iterable[Draw]) -> World:
    """As Pipecat 1.14 traces it: one clock, and no span of endpointing or of a tool."""
    return _calls(_Pipecat, drawn)


def livekit(drawn: Iterable[Draw]) -> World:
    """As LiveKit Agents 1.8 traces it: the caller's half of a turn and the agent's are siblings."""
    return _calls(_LiveKit, drawn)


def _calls(writer: type["_Call"], drawn: Iterable[Draw]) -> World:
    made, call = World(), None
    for draw in drawn:
        if call is None:
            call = writer(made, len(made.told))
        call.add(build(draw))
        if call.turn > _TURNS_A_CALL:
            call.close()
            call = None
    if call is not None:
        call.close()
    return made


class _Call:
    """Writes one call: first a greeting, then exchanges."""

    scope = ""

    def __init__(self, made: World, number: int) -> None:
        self.made = made
        self.trace = (number + 1).to_bytes(16)
        self.session = f"call-{number:06}"
        self.spans = 0
        self.turn = 1
        self.begun = self.at = EPOCH + number * 60_000 * MS
        self.root = self.name()
        self.greet()
        self.at += 2500 * MS

    def name(self) -> bytes:
        self.spans += 1
        return self.trace[-4:] + self.spans.to_bytes(4)

    def write(
        self, name: str, times: tuple[int, int], attributes: Attributes, parent: bytes, own: bytes = b""
    ) -> bytes:
        """A span; its id."""
        own = own or self.name()
        span = wire.Span(self.trace, own, parent, name, 1, *times, attributes)
        self.made.spans.append(Written("bot", self.scope, span))
        return own

    def add(self, exchange: Exchange) -> None:
        """One exchange."""
        self.turn += 1
        t0 = self.at - exchange.spoke
        told = self.exchange(exchange, t0)
        self.made.told.append(Told(self.session, self.turn, t0, self.known(exchange), told))
        self.at = t0 + exchange.over + 100 * MS

    def greet(self) -> None:
        """The bot speaks first."""
        raise NotImplementedError

    def exchange(self, exchange: Exchange, t0: int) -> Mapping[bytes, Stage]:
        """Spans of an exchange; the stages of those that have one."""
        raise NotImplementedError

    def known(self, exchange: Exchange) -> Exchange:
        """The exchange with the truth as far as the framework's spans can tell it."""
        raise NotImplementedError

    def close(self) -> None:
        """The call is over."""
        raise NotImplementedError


class _Pipecat(_Call):
    scope = "pipecat"

    def greet(self) -> None:
        times = self.at, self.at + 2000 * MS
        turn = self.write("turn", times, {"turn.number": 1, "turn.was_interrupted": False, **self.stamp()}, self.root)
        self.write("tts", (self.at, self.at + 300 * MS), self.served("tts", {"metrics.ttfb": 0.2}), turn)

    def stamp(self) -> Attributes:
        return {"conversation.id": self.session}

    def served(self, operation: str, attributes: Attributes) -> Attributes:
        """What a service's span carries."""
        models = {"stt": ("ear", "one"), "chat": ("brain", "large"), "tts": ("mouth", "warm")}
        provider, model = models[operation]
        names: Attributes = {"gen_ai.provider.name": provider, "gen_ai.request.model": model}
        return {**names, "gen_ai.operation.name": operation, **attributes}

    def exchange(self, exchange: Exchange, t0: int) -> Mapping[bytes, Stage]:
        head: Attributes = {
            "turn.number": self.turn,
            "turn.user_bot_latency_seconds": exchange.end / 1e9,
            **self.stamp(),
        }
        head["turn.was_interrupted"] = "barge_in" in exchange.traits
        turn = self.write("turn", (t0 + exchange.spoke + 200 * MS, t0 + exchange.over), head, self.root)
        told: dict[bytes, Stage] = {}
        asked = 0
        for stage in exchange.stages:
            times = t0 + stage.start, t0 + stage.end
            first = {} if stage.first is None else {"metrics.ttfb": (stage.first - stage.start) / 1e9}
            if stage.component == "stt":
                told[self.write("stt", times, self.served("stt", {"metrics.ttfb": stage.end / 1e9}), turn)] = stage
            elif stage.component == "llm":
                messages = [{"role": "user", "content": "so"}, {"role": "tool", "content": "it is"}][: 1 + (asked > 0)]
                asked += 1
                attributes = self.served("chat", {"input": json.dumps(messages), **first})
                told[self.write("llm", times, attributes, turn)] = stage
            elif stage.component == "tts":
                told[self.write("tts", times, self.served("tts", {**first}), turn)] = stage
        return told

    def known(self, exchange: Exchange) -> Exchange:
        """Nothing tells when the silence wait was over: a later transcript is waited for from the beginning."""
        work = min(stage.start for stage in exchange.stages if stage.component == "llm")
        (stt,) = (stage for stage in exchange.stages if stage.component == "stt")
        (silence,) = (stage for stage in exchange.stages if stage.component == "endpointing")
        hearing = [Part(0, work, "endpointing", None)]
        if stt.end > silence.end:
            hearing = [Part(0, stt.end, "stt_tail", "stt"), Part(stt.end, work, "endpointing", None)]
        rest = clipped(exchange.truth, work, exchange.end)
        # tools have no span
        rest = [part._replace(stage=None) if part.segment == "tool" else part for part in rest]
        return replace(exchange, truth=hearing + rest)

    def close(self) -> None:
        attributes: Attributes = {"conversation.type": "voice", **self.stamp()}
        self.write("conversation", (self.begun, self.at), attributes, b"", self.root)


class _LiveKit(_Call):
    scope = "livekit-agents"

    def greet(self) -> None:
        turn = self.write("agent_turn", (self.at, self.at + 2000 * MS), self.stamp({"lk.speech_id": "hi"}), self.root)
        self.speech(turn, Stage("greeting", "tts", 0, 300 * MS, 200 * MS), self.at)
        self.write("agent_speaking", (self.at + 200 * MS, self.at + 2000 * MS), self.stamp({}), turn)

    def stamp(self, attributes: Attributes) -> Attributes:
        return {"gen_ai.conversation.id": self.session, **attributes}

    def speech(self, turn: bytes, stage: Stage, t0: int) -> bytes:
        """A sentence's TTS: node and request."""
        times, first = (t0 + stage.start, t0 + stage.end), ((stage.first or stage.end) - stage.start) / 1e9
        service: Attributes = {"gen_ai.provider.name": "mouth", "gen_ai.request.model": "warm"}
        node = self.write("tts_node", times, self.stamp({**service, "lk.response.ttfb": first}), turn)
        metrics = json.dumps({"ttfb": first, "duration": (stage.end - stage.start) / 1e9, "characters_count": 9})
        return self.write(
            "tts_request", times, self.stamp({**service, "lk.tts.streaming": False, "lk.tts_metrics": metrics}), node
        )

    def exchange(self, exchange: Exchange, t0: int) -> Mapping[bytes, Stage]:
        (stt,) = (stage for stage in exchange.stages if stage.component == "stt")
        (silence,) = (stage for stage in exchange.stages if stage.component == "endpointing")
        decided = max(stt.end, silence.end)
        delays: Attributes = {"lk.transcription_delay": stt.end / 1e9, "lk.end_of_turn_delay": decided / 1e9}
        service: Attributes = {"gen_ai.provider.name": "ear", "gen_ai.request.model": "one"}
        caller = self.write(
            "user_turn", (t0 + exchange.spoke, t0 + decided), self.stamp({**service, **delays}), self.root
        )
        waited: Attributes = {"lk.eou.outcome": "committed", "lk.eou.wait_duration": decided / 1e9}
        waited["lk.eou.endpointing_delay"] = silence.end / 1e9
        told = {self.write("eou_wait", (t0, t0 + decided), self.stamp(waited), caller): silence, caller: stt}
        head: Attributes = {"lk.speech_id": f"s{self.turn}", "lk.e2e_latency": exchange.end / 1e9, **delays}
        head["lk.interrupted"] = "barge_in" in exchange.traits
        turn = self.write("agent_turn", (t0 + decided, t0 + exchange.over), self.stamp(head), self.root)
        for stage in exchange.stages:
            if stage.component == "llm":
                told |= self.asked(turn, stage, t0)
            elif stage.component == "tool":
                names: Attributes = {"lk.function_tool.name": "lookup", "gen_ai.operation.name": "execute_tool"}
                times = t0 + stage.start, t0 + stage.end
                told[self.write("function_tool", times, self.stamp(names), turn)] = stage
            elif stage.component == "tts" and not stage.key.startswith("later"):
                told[self.speech(turn, stage, t0)] = stage
        self.write("agent_speaking", (t0 + exchange.end, t0 + exchange.over), self.stamp({}), turn)
        return told

    def asked(self, turn: bytes, stage: Stage, t0: int) -> Mapping[bytes, Stage]:
        """A model call: node and request."""
        times = t0 + stage.start, t0 + stage.end
        service: Attributes = {"gen_ai.provider.name": "brain", "gen_ai.request.model": "large"}
        first: Attributes = {} if stage.first is None else {"lk.response.ttft": (stage.first - stage.start) / 1e9}
        node = self.write("llm_node", times, self.stamp({**service, **first}), turn)
        request = self.write("llm_request", times, self.stamp({**service, "gen_ai.operation.name": "chat"}), node)
        return {node: stage, request: stage}

    def known(self, exchange: Exchange) -> Exchange:
        """All of it."""
        return exchange

    def close(self) -> None:
        self.write("session_close", (self.at, self.at + MS), self.stamp({"lk.close_reason": "job_shutdown"}), self.root)
        self.write("agent_session", (self.begun, self.at + MS), self.stamp({}), b"", self.root)
