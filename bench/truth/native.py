"""Generated exchanges as calls with spans of our own names, each service with a clock of its own."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from bench import wire
from bench.truth.draws import MS, Draw
from bench.truth.exchange import Exchange, Stage, build
from otel_voicebot import semconv as s

__all__ = ["BOT", "EPOCH", "OWNERS", "SERVICES", "Told", "World", "Written", "world"]

EPOCH: Final = 1_767_571_200_000_000_000
BOT: Final = "bot"
SERVICES: Final = ("stt", "llm", "tts", "nlu", "rag", "tool", "api")
"""Components that may run in processes, and by clocks, of their own."""
_TURNS_A_CALL: Final = 5
_NAMES: Final = {
    "endpointing": s.SPAN_ENDPOINTING,
    "stt": s.SPAN_STT,
    "llm": f"{s.SPAN_LLM} large",
    "tts": s.SPAN_TTS,
    "nlu": s.SPAN_NLU,
    "rag": s.SPAN_RAG,
    "tool": f"{s.SPAN_TOOL} lookup",
    "api": s.SPAN_API,
    "cache": s.SPAN_CACHE,
    "playout": s.SPAN_PLAYOUT,
}
_FIRST: Final[Mapping[str, wire.Attributes]] = {
    "stt": {s.PROVIDER: "ear", s.REQUEST_MODEL: "one"},
    "llm": {s.PROVIDER: "brain", s.REQUEST_MODEL: "large"},
    "tts": {s.PROVIDER: "mouth", s.REQUEST_MODEL: "warm"},
    "nlu": {s.PROVIDER: "sense", s.REQUEST_MODEL: "small"},
    "rag": {s.PROVIDER: "shelf", s.REQUEST_MODEL: "dense"},
    "tool": {s.TOOL_NAME: "lookup"},
    "api": {s.API_NAME: "outside"},
}
_SECOND: Final[Mapping[str, wire.Attributes]] = {
    "llm": {s.PROVIDER: "spare", s.REQUEST_MODEL: "tiny"},
    "tts": {s.PROVIDER: "spare", s.REQUEST_MODEL: "cold"},
}
_MARKS: Final = {"cancelled": s.CANCELLED, "background": s.BACKGROUND, "discarded": s.DISCARDED}
OWNERS: Final = {
    "stt": "ear/one",
    "llm": "brain/large",
    "tts": "mouth/warm",
    "nlu": "sense/small",
    "rag": "shelf/dense",
    "tool": "lookup",
    "api": "outside",
}
"""Who owns a stage of a component, second choices apart."""


@dataclass(frozen=True)
class Told:
    """An exchange as it was written: its caller's end of speech `t0` in unix ns, and the stage of each span."""

    session: str
    turn: int
    t0: int
    exchange: Exchange
    stages: Mapping[bytes, Stage]


class Written(NamedTuple):
    """A span, the process that wrote it and the instrumentation scope that it wrote it in."""

    service: str
    scope: str
    span: wire.Span


@dataclass
class World:
    """Calls: their spans, and what is true."""

    spans: list[Written] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    def request(self, keep: Callable[[wire.Span], bool] = lambda _: True) -> bytes:
        """The spans to keep, as OTLP; one resource a service."""
        groups: dict[tuple[str, str], list[bytes]] = {}
        for service, scope, span in self.spans:
            if keep(span):
                groups.setdefault((service, scope), []).append(wire.span(span))
        resources = (
            ({s.SERVICE_NAME: name, s.SERVICE_INSTANCE_ID: f"{name}-1"}, scope, spans)
            for (name, scope), spans in groups.items()
        )
        return wire.request(resources)


def world(drawn: Iterable[Draw], *, seed: int = 0, skew_ms: float = 0, apart: bool = True) -> World:
    """Calls of up to five exchanges each.

    Args:
        drawn: the exchanges.
        seed: of the skews.
        skew_ms: clocks of services differ from the bot's by up to this much, either way, drawn for each call.
        apart: services are processes of their own; else all spans are the bot's.
    """
    made, rng = World(), np.random.default_rng(seed)
    call = None
    for draw in drawn:
        if call is None:
            skews = (rng.uniform(-skew_ms, skew_ms, len(SERVICES)) * MS).astype(np.int64).tolist()
            services = dict(zip(SERVICES, skews, strict=True)) if apart else {}
            call = _Call(made, len(made.told), services)
        call.add(build(draw))
        if call.over:
            call = None
    if call is not None:
        call.close()
    return made


class _Call:
    """Writes one call."""

    def __init__(self, made: World, number: int, services: Mapping[str, int]) -> None:
        self.made, self.services = made, services
        self.trace = (number + 1).to_bytes(16)
        self.session = f"call-{number:06}"
        self.spans = 0
        self.turn = 1
        self.begun = self.at = EPOCH + number * 60_000 * MS
        self.over = False
        self.root = self.name()
        self.greet()

    def name(self) -> bytes:
        self.spans += 1
        return self.trace[-4:] + self.spans.to_bytes(4)

    def write(self, service: str, span: wire.Span) -> None:
        self.made.spans.append(Written(service, s.SCOPE_NAME, span))

    def greet(self) -> None:
        """The bot speaks first: no exchange."""
        turn, stamps = self.name(), self.stamps()
        events: list[wire.Event] = [
            (self.at + 300 * MS, s.BOT_SPEECH_START, {}),
            (self.at + 2000 * MS, s.BOT_SPEECH_END, {}),
        ]
        end = self.at + 2000 * MS
        self.write(BOT, wire.Span(self.trace, turn, self.root, s.SPAN_TURN, 1, self.at, end, stamps, events))
        self.stage(Stage("greeting", "tts", 0, 400 * MS, 290 * MS), turn, self.at)
        self.at = end + 500 * MS

    def stamps(self) -> dict[str, wire.Value]:
        return {s.SESSION_ID: self.session, s.TURN_INDEX: self.turn, s.BOT: "bank"}

    def add(self, exchange: Exchange) -> None:
        """One exchange, after what has been."""
        self.turn += 1
        t0 = self.at - exchange.spoke
        turn = self.name()
        stages = {self.stage(stage, turn, t0): stage for stage in exchange.stages}
        events: list[wire.Event] = [(self.at, s.USER_SPEECH_START, {}), (t0, s.USER_SPEECH_END, {})]
        attributes: dict[str, wire.Value] = self.stamps()
        if exchange.reason:
            known = {"error": "spoke_again"}
            attributes[s.TURN_END_REASON] = known.get(exchange.reason, exchange.reason)
        else:
            events += [(t0 + exchange.end, s.BOT_SPEECH_START, {}), (t0 + exchange.over, s.BOT_SPEECH_END, {})]
        if "barge_in" in exchange.traits:
            attributes[s.TURN_INTERRUPTED] = True
        end = t0 + exchange.over
        self.write(BOT, wire.Span(self.trace, turn, self.root, s.SPAN_TURN, 1, self.at, end, attributes, events))
        self.made.told.append(Told(self.session, self.turn, t0, exchange, stages))
        pause = 0 if exchange.reason or "barge_in" in exchange.traits else 700 * MS
        self.at = end + pause
        if exchange.reason in ("hung_up", "session_ended") or self.turn > _TURNS_A_CALL:
            self.close()

    def stage(self, stage: Stage, turn: bytes, t0: int) -> bytes:
        """The span of a stage, by the clock of its service."""
        skew = self.services.get(stage.component, 0)
        service = stage.component if stage.component in self.services else BOT
        attributes: dict[str, wire.Value] = self.stamps()
        attributes |= (_SECOND if stage.second_choice else _FIRST).get(stage.component, {})
        if stage.first is not None:
            attributes[s.TIME_TO_FIRST_CHUNK] = (stage.first - stage.start) / 1e9
        if stage.outcome:
            attributes[s.ENDPOINTING_OUTCOME] = stage.outcome
        if stage.mark:
            attributes[_MARKS[stage.mark]] = True
        own = self.name()
        times = t0 + stage.start + skew, t0 + stage.end + skew
        error = "it failed" if stage.failed else None
        head = (self.trace, own, turn, _NAMES[stage.component], 1, *times)
        self.write(service, wire.Span(*head, attributes, (), error))
        return own

    def close(self) -> None:
        """The call is over."""
        self.over = True
        attributes: dict[str, wire.Value] = {s.SESSION_ID: self.session, s.BOT: "bank"}
        attributes[s.SESSION_OUTCOME] = "unresolved"
        self.write(BOT, wire.Span(self.trace, self.root, b"", s.SPAN_SESSION, 1, self.begun, self.at, attributes))
