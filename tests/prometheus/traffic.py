"""Calls in which every metric of bots moves, and what goes wrong at the service's doors, sent over real OTLP."""

import itertools
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import wire
from bench.generate import calls
from otel_voicebot import semconv as s
from otel_voicebot.store.erase import erase
from tests.app.served import Served, until
from tests.live.doors import RESOURCE

__all__ = ["AWKWARD", "DAY_S", "accidents", "everything", "planned", "prime", "shifted", "stream"]

DAY_S = 86_400.0
AWKWARD = "clinic (v2.1)"
"""A bot's name with characters that mean something in a regular expression."""
_PROTOBUF = "application/x-protobuf"


def shifted(spans: Sequence[wire.Span], ended_ago_s: float) -> list[wire.Span]:
    """The same call, as if it had ended so long ago."""
    by = time.time_ns() - round(ended_ago_s * 1e9) - max(one.end for one in spans)
    return [
        one._replace(
            start=one.start + by, end=one.end + by, events=[(at + by, name, more) for at, name, more in one.events]
        )
        for one in spans
    ]


def everything(spans: int, seed: int) -> Iterator[list[wire.Span]]:
    """Generated calls with what the generator leaves out.

    Reference words, opinion scores, cache levels, fallbacks, handoffs between bots that fail or go in a circle, and
    turns that break a rule.
    """
    chance = random.Random(seed)
    for call in calls(spans, seed=seed):
        variant = "AB"[call.number % 2]
        yield [*(_more(one, variant, chance) for one in call.spans), *_handoffs(call.spans[-1], chance)]


def _more(one: wire.Span, variant: str, chance: random.Random) -> wire.Span:
    more: dict[str, wire.Value] = {s.VARIANT: variant}
    if one.name == s.SPAN_STT:
        more |= {s.WER_ERRORS: chance.randrange(3), s.WER_WORDS: 10}
    elif one.name == s.SPAN_TTS:
        more |= {s.MOS: chance.uniform(2.5, 4.8), s.MOS_KIND: "dnsmos"}
    elif one.name == s.SPAN_CACHE:
        more |= {s.CACHE_LEVEL: chance.choice(("L1", "L2"))}
    elif one.name == s.SPAN_NLU:
        more |= {s.INTENT_FALLBACK: chance.random() < 0.1}
    if one.attributes[s.BOT] == "clinic":
        more[s.BOT] = AWKWARD
    events = one.events
    if one.name == s.SPAN_SESSION:  # each caller answers
        events = [(one.end, s.FEEDBACK, {s.CSAT: chance.randint(1, 5), s.NPS: chance.randint(0, 10)})]
    elif one.name == s.SPAN_TURN and chance.random() < 0.02:  # a bot's clock that is an hour ahead: no such gap
        late = (s.BOT_SPEECH_START, s.BOT_SPEECH_END)
        events = [(at + (3600 * 10**9 if name in late else 0), name, rest) for at, name, rest in events]
    return one._replace(attributes={**one.attributes, **more}, events=events)


def _handoffs(root: wire.Span, chance: random.Random) -> Iterator[wire.Span]:
    stamps = {key: root.attributes[key] for key in (s.SESSION_ID, s.BOT)}
    if stamps[s.BOT] == "clinic":
        stamps[s.BOT] = AWKWARD
    for error, blocked in (("no answer", False), (None, True), (None, False)):
        attributes = {**stamps, s.HANDOFF_TARGET: "shop", s.HANDOFF_PLANNED: False, s.HANDOFF_BLOCKED: blocked}
        head = (root.trace_id, chance.randbytes(8), root.span_id, s.SPAN_HANDOFF, 1, root.end - 10**8, root.end)
        yield wire.Span(*head, attributes, (), error)


def planned(seconds: int, seed: int = 7, spans: int = 250) -> list[list[list[wire.Span]]]:
    """Calls by the second in which they are sent."""
    return [list(everything(spans, 1000 * seed + second)) for second in range(seconds)]


def prime(served: Served, plan: Sequence[Sequence[Sequence[wire.Span]]]) -> None:
    """The same calls ten days, two days and twelve hours ago, so that each of their series has begun.

    Prometheus doesn't count what a series begins with. Returns when they are counted.
    """
    ages = itertools.cycle((10 * DAY_S, 2 * DAY_S, DAY_S / 2))
    old = [shifted(_other(call), age) for call, age in zip(itertools.chain(*plan), ages, strict=False)]
    for start in range(0, len(old), 50):
        served.export([span for call in old[start : start + 50] for span in call])
    _beside(served)
    until(lambda: served.total("voicebot_sessions_total") == len(old))


def _other(call: Sequence[wire.Span]) -> list[wire.Span]:
    """The same call as another session."""
    trace = b"old" + call[0].trace_id[3:]
    return [one._replace(trace_id=trace, attributes={**one.attributes, s.SESSION_ID: trace.hex()}) for one in call]


def stream(served: Served, plan: Sequence[Sequence[Sequence[wire.Span]]]) -> None:
    """Calls that end now, some each second. Returns when the last are counted."""
    before = served.total("voicebot_sessions_total")
    for calls_ in plan:
        until_then = time.monotonic() + 1
        served.export([span for call in calls_ for span in shifted(call, 0)])
        _beside(served)
        time.sleep(max(until_then - time.monotonic(), 0))
    until(lambda: served.total("voicebot_sessions_total") == before + sum(map(len, plan)))


def _beside(served: Served) -> None:
    """A log record, and a question at the web port."""
    post(served, "/v1/logs", json.dumps(_LOG).encode(), "application/json")
    served.get("/api/services", "web")


def accidents(served: Served, data: Path) -> None:
    """What goes wrong at the doors of a service with the settings ``rig.FRAGILE``, once each."""
    good, late, erased = (shifted(one, 0) for one in list(everything(300, 5))[:3])
    for spans in (good, good):  # repeated
        post(served, "/v1/traces", _request(spans))
    served.export([*late, *erased])
    until(lambda: served.total("voicebot_sessions_total") == 3)
    served.export([late[0]._replace(span_id=b"12345678")])
    erase(data, sessions=[str(erased[0].attributes[s.SESSION_ID])])
    post(served, "/v1/traces", _request([erased[0]._replace(span_id=b"12345678")]))
    post(served, "/v1/traces", _request([good[0]._replace(trace_id=bytes(16))]))  # rejected
    post(served, "/v1/traces", b"no protobuf", "text/plain")
    post(served, "/v1/traces", b"\x1f\x8b no gzip", _PROTOBUF, "gzip")
    stranger = good[0]._replace(name="GET /", attributes={"http.route": "/"}, trace_id=b"s" * 16)
    post(served, "/v1/traces", _request([stranger], "someone.else"))
    renamed = good[0]._replace(name="tts2", attributes={"metrics2.ttfb": 0.1}, trace_id=b"p" * 16)
    post(served, "/v1/traces", _request([renamed], "pipecat"))
    lookups = [_lookup(good, number) for number in range(2100)]
    served.export([*lookups, *(_open(good, number) for number in range(60))])
    post(served, "/v1/logs", json.dumps(_LOG).encode(), "application/json")
    damaged = data / "hot" / "spans" / "date=2026-01-01" / "hour=00" / "x-1.parquet"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no Parquet")  # it can't be merged


def _lookup(call: Sequence[wire.Span], number: int) -> wire.Span:
    """A lookup in a cache of its own: a series each."""
    attributes = {s.SESSION_ID: "many", s.BOT: "bank", s.TURN_INDEX: 1, s.CACHE_NAME: f"c{number}", s.CACHE_HIT: True}
    identity = {"trace_id": b"m" * 16, "span_id": (number + 1).to_bytes(8), "parent_id": b""}
    return call[0]._replace(**identity, name=s.SPAN_CACHE, attributes=attributes)


def _open(call: Sequence[wire.Span], number: int) -> wire.Span:
    """A span of a session that never ends, with too many attributes."""
    many = {f"own.{index}": index for index in range(30)}
    attributes = {s.SESSION_ID: f"open-{number}", s.BOT: "bank", s.TURN_INDEX: 1, **many}
    return call[0]._replace(trace_id=b"o" * 8 + number.to_bytes(8), parent_id=b"", attributes=attributes)


def _request(spans: Sequence[wire.Span], scope: str = s.SCOPE_NAME) -> bytes:
    return wire.request([(RESOURCE, scope, map(wire.span, spans))])


def post(served: Served, path: str, body: bytes, kind: str = _PROTOBUF, encoding: str = "identity") -> int:
    """The status that the HTTP door answers with."""
    headers = {"Content-Type": kind, "Content-Encoding": encoding}
    request = urllib.request.Request(f"http://{served.where['http']}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


_LOG = {
    "resourceLogs": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "voicebot"}}]},
            "scopeLogs": [{"logRecords": [{"timeUnixNano": "1", "body": {"stringValue": "x"}}]}],
        }
    ]
}
