"""Twelve calls as tables, and the OTLP JSON lines made of them: ``python tests/data/kpis/calls.py > spans.jsonl``.

Standard library only. A dash means: there is none. Times of turns are seconds after the call's start.
"""

import json
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

AS_OF = "2026-04-05T12:00:00+00:00"
"""When the KPIs are asked for: the last call's day isn't over, the month of the last five isn't."""

CALLS = """
# call caller intent       channel start               seconds outcome    why_it_ended  what the call is there for
  s01  1      loan         phone   2026-03-01T10:00:00 60      resolved   completed     # a call as it should be
  s02  1      loan         phone   2026-03-01T20:00:00 30      resolved   completed     # again within a day of s01
  s03  2      balance      phone   2026-03-02T09:00:00 60      resolved   completed     # interrupted; a detractor
  s04  2      balance      phone   2026-03-05T09:00:00 30      resolved   completed     # again 3 days after s03
  s05  3      complaint    phone   2026-03-03T09:00:00 120     escalated  transferred   # the caller asks for a human
  s06  4      complaint    phone   2026-03-04T09:00:00 60      -          transferred   # the bot asks; no outcome told
  s07  5      loan         phone   2026-03-04T11:00:00 90      resolved   transferred   # handed over as planned
  s08  6      balance      phone   2026-03-06T10:00:00 30      abandoned  hung_up       # hung up on a wait
  s09  -      -            phone   2026-03-06T15:00:00 3       abandoned  hung_up       # short
  s10  7      loan         phone   2026-03-07T10:00:00 60      unresolved completed     # unpriced model; a tool fails
  s11  8      payment_plan web     2026-03-08T10:00:00 45      resolved   completed     # its survey comes a day later
  s12  9      loan         phone   2026-04-04T18:00:00 30      resolved   completed     # its day isn't over
"""

# caller speaks from u1 to u2, the bot from b1 to b2. stt hears u2 - u1 seconds; wer: wrong words of how many.
# nlu: confidence, "?" when it tells none, "!" behind it when it fell back. Tokens: in/out.
TURNS = """
# call turn u1 u2 b1  b2 | wer nlu  cache         model              tokens   characters mos agent/decision
  s01  1    2  4  5   11 | 1/4 0.9  semantic:hit  openai/gpt-4o-mini 1000/100 100        4.0 lender/approve
  s01  2    13 15 17  21 | -   -    -             openai/gpt-4o-mini 1000/100 100        -   lender/approve
  s02  1    2  4  5   11 | -   0.9  semantic:miss openai/gpt-4o-mini 1000/100 100        -   -
  s03  1    2  4  5.5 11 | 0/6 0.9  semantic:hit  openai/gpt-4o-mini 1000/100 100        3.5 -
  s04  1    2  4  5   11 | -   0.6  -             openai/gpt-4o-mini 1000/100 100        -   -
  s05  1    2  4  6   10 | -   0.8  audio:miss    openai/gpt-4o-mini 1000/100 100        -   router/escalate
  s05  2    16 18 21  25 | -   -    -             openai/gpt-4o-mini 1000/100 100        -   router/escalate
  s06  1    2  4  5   11 | -   0.8  -             openai/gpt-4o-mini 1000/100 100        -   -
  s07  1    2  4  5.5 11 | -   0.9  -             openai/gpt-4o-mini 1000/100 100        -   -
  s08  1    2  4  5   11 | -   0.9  -             openai/gpt-4o-mini 1000/100 100        -   -
  s08  2    12 14 -   20 | -   -    -             openai/gpt-4o-mini -        -          -   -
  s10  1    2  4  6.5 11 | -   0.4! -             acme/house-1       1000/100 100        -   lender/reject
  s11  1    2  4  5   11 | -   0.9  -             openai/gpt-4o-mini 1000/100 100        -   -
  s12  1    2  4  4.5 11 | -   ?    -             openai/gpt-4o-mini 1000/100 100        -   -
"""

# What a turn's work names. The entry stands on the lookup, the adapter on stt and nlu, the schema of intents on nlu.
NAMED = """
# call turn entry    adapter schema
  s01  1    greeting lora-1  v1
  s02  1    greeting lora-1  v1     # looked up and not found, or it was too old
  s03  1    balance  -       v1
  s05  1    -        lora-1  v2     # a lookup that names no entry
  s08  1    -        -       v2
  s10  1    -        lora-2  v2
  s12  1    -        lora-2  v2
"""

# second after the call's start (86400: the next day), kind, what
FACTS = """
# call second kind     what
  s01  3      event    workflow_started loan
  s01  8      event    compliance_prompt recording
  s01  20     event    workflow_completed loan
  s01  50     survey   csat=5 nps=9
  s02  3      event    workflow_started loan
  s02  20     event    workflow_completed loan
  s03  50     survey   csat=3 nps=6
  s05  60     handoff  caller unplanned
  s05  90     survey   csat=2
  s06  30     handoff  bot unplanned
  s07  3      event    workflow_started loan
  s07  8      event    compliance_prompt recording
  s07  40     event    workflow_completed loan
  s07  45     handoff  bot planned
  s10  3      event    workflow_started loan
  s10  5      tool     timeout
  s10  20     event    workflow_failed loan
  s11  3      event    workflow_started payment_plan
  s11  20     event    workflow_completed payment_plan
  s11  86400  late     csat=4 nps=10
  s12  3      event    workflow_started loan
"""

INTERRUPTED = ("s03 1",)
HUNG_UP = ("s08 2",)
INTENT_FROM_NLU_ONLY = ("s12",)
"""The others' session span says it too."""


def rows(table: str) -> Iterator[list[str]]:
    """The cells of a table."""
    for line in table.strip().splitlines():
        if not line.startswith("#"):
            yield line.split("#")[0].replace("|", " ").split()


Value = str | bool | int | float


def value(what: Value) -> dict[str, Any]:
    """A value as OTLP JSON writes it."""
    if isinstance(what, bool):
        return {"boolValue": what}
    if isinstance(what, int):
        return {"intValue": str(what)}
    return {"doubleValue": what} if isinstance(what, float) else {"stringValue": what}


def attributes(given: dict[str, Value | None]) -> list[dict[str, Any]]:
    """Attributes as OTLP JSON writes them."""
    return [{"key": key, "value": value(what)} for key, what in given.items() if what is not None]


def used(call: str, turn: str) -> list[str | None]:
    """A row of NAMED: entry, adapter, schema."""
    found = next((cells[2:] for cells in rows(NAMED) if cells[:2] == [call, turn]), ["-", "-", "-"])
    return [None if one == "-" else one for one in found]


class Call:
    """One call's spans."""

    def __init__(self, cells: list[str]) -> None:
        self.name, self.caller, self.intent, channel, start, seconds, self.outcome, self.why = cells
        self.start = int(datetime.fromisoformat(start + "+00:00").timestamp()) * 1_000_000_000
        self.seconds = float(seconds)
        self.stamps: dict[str, Value | None] = {
            "session.id": self.name,
            "voicebot.bot": "bank",
            "voicebot.channel": channel,
        }
        self.events: list[dict[str, Any]] = []
        self.spans: list[dict[str, Any]] = []

    def at(self, second: float) -> str:
        """Unix nanoseconds, as text."""
        return str(self.start + round(second * 1e9))

    def span(self, name: str, begin: float, end: float, given: dict[str, Value | None], **more: Any) -> None:
        """Add one."""
        number = zlib.crc32(f"{self.name} {name} {begin} {len(self.spans)}".encode())
        one = {
            "traceId": f"{zlib.crc32(self.name.encode()):032x}",
            "spanId": f"{number:016x}",
            "name": name,
            "startTimeUnixNano": self.at(begin),
            "endTimeUnixNano": self.at(end),
            "attributes": attributes({**self.stamps, **given}),
            **more,
        }
        self.spans.append(one)

    def event(self, second: float, name: str, given: dict[str, Value | None] | None = None) -> dict[str, Any]:
        """An event."""
        return {"timeUnixNano": self.at(second), "name": name, "attributes": attributes(given or {})}

    def turn(self, cells: list[str]) -> None:
        """One exchange and what worked in it."""
        turn, times, rest = int(cells[1]), cells[2:6], cells[6:]
        wer, nlu, cache, model, tokens, characters, mos, agent = rest
        u1, u2, end = float(times[0]), float(times[1]), float(times[3])
        b1 = None if times[2] == "-" else float(times[2])
        at: dict[str, Value | None] = {"voicebot.turn.index": turn}
        entry, adapter, schema = used(self.name, cells[1])
        marks = [self.event(u1, "voicebot.user.speech.start"), self.event(u2, "voicebot.user.speech.end")]
        if b1 is not None:
            marks += [self.event(b1, "voicebot.bot.speech.start"), self.event(end, "voicebot.bot.speech.end")]
        told: dict[str, Value | None] = {
            "voicebot.turn.interrupted": True if f"{self.name} {turn}" in INTERRUPTED else None,
            "voicebot.turn.end_reason": "hung_up" if f"{self.name} {turn}" in HUNG_UP else None,
        }
        self.span("voicebot.turn", u1, end, {**at, **told}, events=marks)
        errors, words = (None, None) if wer == "-" else map(int, wer.split("/"))
        heard: dict[str, Value | None] = {"gen_ai.provider.name": "deepgram", "gen_ai.request.model": "nova-3"}
        heard |= {"voicebot.audio.duration": u2 - u1, "voicebot.user.words": 5}
        heard |= {"voicebot.wer.errors": errors, "voicebot.wer.words": words, "voicebot.adapter": adapter}
        self.span("voicebot.stt", u1, u2 + 0.1, {**at, **heard})
        if nlu != "-":
            sure = None if nlu == "?" else float(nlu.rstrip("!"))
            understood: dict[str, Value | None] = {"voicebot.intent.name": self.intent}
            understood |= {"voicebot.intent.confidence": sure, "voicebot.intent.fallback": nlu.endswith("!")}
            understood |= {"voicebot.adapter": adapter, "voicebot.intent.schema": schema}
            self.span("voicebot.nlu", u2 + 0.1, u2 + 0.2, {**at, **understood})
        if cache != "-":
            name, found = cache.split(":")
            looked: dict[str, Value | None] = {"voicebot.cache.name": name, "voicebot.cache.hit": found == "hit"}
            looked |= {"voicebot.cache.entry": entry}
            self.span("voicebot.cache", u2 + 0.2, u2 + 0.3, {**at, **looked})
        self.reply(at, (u2, b1), (model, tokens, characters), mos, agent)

    def reply(
        self,
        at: dict[str, Value | None],
        between: tuple[float, float | None],
        made: tuple[str, str, str],
        mos: str,
        agent: str,
    ) -> None:
        """The model call and the voice of a turn."""
        (u2, b1), (model, tokens, characters) = between, made
        provider, name = model.split("/")
        tokens_in, tokens_out = (None, None) if tokens == "-" else map(int, tokens.split("/"))
        who, decision = (None, None) if agent == "-" else agent.split("/")
        asked: dict[str, Value | None] = {"gen_ai.provider.name": provider, "gen_ai.request.model": name}
        asked |= {"gen_ai.usage.input_tokens": tokens_in, "gen_ai.usage.output_tokens": tokens_out}
        asked |= {"voicebot.agent": who, "voicebot.decision": decision}
        self.span(f"chat {name}", u2 + 0.3, b1 or u2 + 1, {**at, **asked})
        if b1 is None:
            return
        spoken: dict[str, Value | None] = {"gen_ai.provider.name": "elevenlabs", "gen_ai.request.model": "flash_v2_5"}
        spoken |= {"voicebot.tts.characters": int(characters), "voicebot.bot.words": 20}
        if mos != "-":
            spoken |= {"voicebot.mos": float(mos), "voicebot.mos.kind": "dnsmos"}
        self.span("voicebot.tts", b1 - 0.1, b1, {**at, **spoken})

    def fact(self, second: float, kind: str, what: list[str]) -> None:
        """A row of FACTS."""
        if kind == "event":
            key = "voicebot.compliance.prompt" if what[0] == "compliance_prompt" else "voicebot.workflow"
            self.events.append(self.event(second, f"voicebot.event.{what[0]}", {key: what[1]}))
        elif kind in ("survey", "late"):
            scores: dict[str, Value | None] = {f"voicebot.{k}": int(v) for k, v in (one.split("=") for one in what)}
            if kind == "survey":
                self.events.append(self.event(second, "voicebot.feedback", scores))
            else:
                self.span("voicebot.feedback", second, second, scores)
        elif kind == "handoff":
            asked: dict[str, Value | None] = {"voicebot.handoff.target": "human"}
            asked |= {"voicebot.handoff.requested_by": what[0], "voicebot.handoff.planned": what[1] == "planned"}
            self.span("voicebot.handoff", second, second + 1, asked)
        else:
            failed: dict[str, Value | None] = {"gen_ai.tool.name": "credit_score", "error.type": what[0]}
            self.span("execute_tool credit_score", second, second + 1, failed, status={"code": 2})

    def whole(self) -> list[dict[str, Any]]:
        """All spans, the session's own last."""
        told: dict[str, Value | None] = {"voicebot.session.end_reason": self.why}
        told["user.hash"] = None if self.caller == "-" else self.caller * 64
        told["voicebot.session.outcome"] = None if self.outcome == "-" else self.outcome
        told["voicebot.session.intent"] = (
            None if self.intent == "-" or self.name in INTENT_FROM_NLU_ONLY else self.intent
        )
        self.span("voicebot.session", 0, self.seconds, told, events=self.events)
        return self.spans


def lines(calls: str = CALLS) -> Iterator[str]:
    """One OTLP request per call."""
    for cells in rows(calls):
        call = Call(cells)
        for turn in rows(TURNS):
            if turn[0] == call.name:
                call.turn(turn)
        for fact in rows(FACTS):
            if fact[0] == call.name:
                call.fact(float(fact[1]), fact[2], fact[3:])
        scope = {"scope": {"name": "otel_voicebot"}, "spans": call.whole()}
        yield json.dumps({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [scope]}]})


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
