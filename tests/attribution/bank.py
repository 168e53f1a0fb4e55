"""Spoken calls to the bank bot in which one part is made slower: what the models say of the waits."""

import dataclasses
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_voicebot.demo.bank import CoreBanking, Tools
from otel_voicebot.demo.bot import Bot, Equipment
from otel_voicebot.demo.caller import Caller, Plan
from otel_voicebot.demo.dialogue import Dialogue, Question
from otel_voicebot.demo.ears import Ears
from otel_voicebot.demo.knowledge import Knowledge, SemanticCache
from otel_voicebot.demo.line import Line, Pace
from otel_voicebot.demo.model import TemplateModel, passages
from otel_voicebot.demo.recogniser import Recogniser
from otel_voicebot.demo.recordings import DATA, load
from otel_voicebot.demo.understanding import Understanding
from otel_voicebot.demo.voice import Espeak
from otel_voicebot.instrument.runtime import runtime
from otel_voicebot.models import Engine
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import collect
from otel_voicebot.store import SpanStore
from otel_voicebot.store.reader import snapshot

__all__ = ["PARTS", "SLOWER_S", "calls", "segments"]

Says = Mapping[Question, tuple[str, ...]]

SLOWER_S: Final = 2.0
_AT_ONCE: Final = 5
PARTS: Final = ("endpointing", "stt", "nlu", "cache", "rag", "tool", "llm", "llm_text", "tts", "playout")
_BALANCE: Final[Says] = {"need": ("balance",), "account": ("account",), "more": ("bye",)}
_QUESTION: Final[Says] = {"need": ("faq_hours",), "more": ("bye",)}

Wrap = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]


class _Around:
    """The real thing; only one method of it is called in another way."""

    def __init__(self, real: Any, method: str, wrap: Wrap) -> None:
        self._real, self._method, self._wrap = real, method, wrap

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name != self._method:
            return found
        return lambda *args, **named: self._wrap(found, args, named)


def _before(real: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    time.sleep(SLOWER_S)
    return real(*args, **named)


def _after(real: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    result = real(*args, **named)
    time.sleep(SLOWER_S)
    return result


def _after_first(real: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Iterator[str]:
    for number, word in enumerate(real(*args, **named)):
        yield word
        if number == 0:
            time.sleep(SLOWER_S)


def _slower(part: str, slow: str, real: Any, method: str, wrap: Wrap = _before) -> Any:
    return _Around(real, method, wrap) if part == slow else real


def calls(speed: float) -> tuple[dict[str, str], tuple[ReadableSpan, ...]]:
    """A call for each part, with that part slower: its session, and the spans of all."""
    exporter, provider, pace = InMemorySpanExporter(), TracerProvider(), Pace(speed)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with runtime.using(provider, time.time_ns, capture_content=False), Recogniser(2) as recogniser:
        shared = Equipment(recogniser, Understanding(), Knowledge(passages(), _questions()), _no_cache(), pace)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            held = pool.map(lambda slow: _hold(slow, shared), PARTS)
            sessions = dict(zip(PARTS, held, strict=True))
    return sessions, exporter.get_finished_spans()


def _hold(slow: str, shared: Equipment) -> str:
    pace, recordings = shared.pace, load()
    asks = _QUESTION if slow in ("cache", "rag") else _BALANCE
    plan = Plan(slow, "phone", "A", slow, "rms", asks, "resolved")
    line = Line(pace, seed=1)
    model = TemplateModel("templates-large", 0.45, pace, seed=slow)
    voice = _slower("playout", slow, _slower("tts", slow, Espeak(), "speak"), "speak", _after)
    bank = _slower("tool", slow, CoreBanking(pace, seed=slow), "balance")
    equipment = dataclasses.replace(
        shared,
        recogniser=_slower("stt", slow, shared.recogniser, "recognise"),
        understanding=_slower("nlu", slow, shared.understanding, "read"),
        knowledge=_slower("rag", slow, shared.knowledge, "find"),
        cache=_slower("cache", slow, _no_cache(), "find"),
    )
    thinks = _slower("llm_text", slow, _slower("llm", slow, model, "stream"), "stream", _after_first)
    bot = Bot(equipment, thinks, (voice, voice), Dialogue(Tools(bank)), line, Caller(plan, line, recordings, seed=slow))
    bot._ears = _slower("endpointing", slow, Ears(line), "decide")
    return bot.hold(plan, lambda _: None).session_id


def _questions() -> dict[str, list[str]]:
    found: dict[str, list[str]] = tomllib.loads((DATA / "training.toml").read_text())["intents"]
    return found


def _no_cache() -> SemanticCache:
    """A cache of its own for each call: nothing is in it, so that every question is looked up and retrieved."""
    questions = _questions()
    return SemanticCache([text for intent in passages() for text in questions[intent]])


def segments(data: Path, spans: tuple[ReadableSpan, ...]) -> list[dict[str, Any]]:
    """The rows of `segments` over these spans, by session, turn and position."""
    SpanStore(data).commit([prepare(collect(spans), Policy(), SelfMetrics(), "sdk", 0)])
    with Engine(snapshot(data)) as engine:
        rows = engine.sql("SELECT * FROM segments ORDER BY session_id, turn_index, position")
    found: list[dict[str, Any]] = rows.to_pylist()
    return found
