"""Sections of the report counted anew from the raw spans of the twelve calls. Standard library only.

A cell is (section, row, measure) and has a value, as text, and the sessions that it is of. Of money, limits and
work tell the scripts ``sections_*.py`` beside this one.
"""

from collections.abc import Iterable
from fractions import Fraction

import sections_limits
import sections_money
import sections_work
from figures import Cell, Key, number, seconds
from raw import Call, Span

__all__ = ["LIMITS_AT", "Cell", "Key", "number", "recompute"]

DEAD_AIR_S = 3
LIMITS_AT = sections_limits.MOMENT
"""When quotas and service levels are asked about."""


def marks(span: Span) -> dict[str, int]:
    """When who began and stopped to speak in a turn."""
    return {name.removeprefix("voicebot."): at for name, at, _ in span.events}


def stretches(call: Call) -> list[tuple[int, int, bool]]:
    """From when to when somebody spoke, and whether it was the caller, in the order of their beginnings."""
    found = []
    for turn in call.named("turn"):
        at = marks(turn)
        found += [
            (at[f"{who}.speech.start"], at[f"{who}.speech.end"], who == "user")
            for who in ("user", "bot")
            if f"{who}.speech.start" in at and f"{who}.speech.end" in at
        ]
    return sorted(found)


def speech(calls: list[Call]) -> dict[Key, Cell]:
    """Who talked, and how long nobody did: all calls are one bot's."""
    talked = {call.name: stretches(call) for call in calls if stretches(call)}
    spoken = {True: Fraction(0), False: Fraction(0)}
    silences: list[tuple[str, Fraction]] = []
    for name, parts in talked.items():
        over = parts[0][1]
        for begin, end, caller in parts:
            spoken[caller] += seconds(end - begin)
            silences.append((name, seconds(begin - over)))
            over = max(over, end)
    dead = [(name, length) for name, length in silences if length >= DEAD_AIR_S]
    air = sum((length for _, length in dead), Fraction(0))
    length = sum((call.seconds for call in calls if call.name in talked), Fraction(0))
    names, silent = sorted(talked), sorted({name for name, _ in dead})
    both = spoken[True] + spoken[False]
    return {
        ("speech", "bank", "caller_s"): (number(spoken[True]), names),
        ("speech", "bank", "bot_s"): (number(spoken[False]), names),
        ("speech", "bank", "talk_ratio"): (number(spoken[True] / both), names),
        ("speech", "bank", "dead_airs"): (number(len(dead)), silent),
        ("speech", "bank", "dead_air_s"): (number(air), silent),
        ("speech", "bank", "dead_air_share"): (number(air / length), silent),
        ("speech", "bank", "longest_silence_s"): (number(max(length for _, length in silences)), silent),
    }


def concurrency(calls: list[Call]) -> dict[Key, Cell]:
    """For each hour in which a call began or ended: how many began, and the most at one of those moments."""
    hours: dict[str, list[tuple[int, str]]] = {}
    for call in calls:
        for moment, began in ((call.start, True), (call.end, False)):
            hour = moment.strftime("%Y-%m-%dT%H")
            here = [one for one in calls if one.start <= moment < one.end]
            hours.setdefault(hour, []).append((len(here), call.name if began else ""))
    found: dict[Key, Cell] = {}
    for hour, moments in hours.items():
        begun = sorted(name for _, name in moments if name)
        found["concurrency", hour, "begun"] = (number(len(begun)), begun)
        found["concurrency", hour, "peak"] = (number(max(count for count, _ in moments)), begun)
    return found


def events(call: Call, name: str) -> list[str]:
    """What such events of a call name."""
    return [
        next(iter(values.values())) for span in call.spans for event, _, values in span.events
        if event == f"voicebot.event.{name}"
    ]  # fmt: skip


def workflows(calls: list[Call]) -> dict[Key, Cell]:
    """A18: loans and payment plans, started and brought to their end."""
    found: dict[Key, Cell] = {}
    told = {kind: [(call.name, name) for call in calls for name in events(call, f"workflow_{kind}")]
            for kind in ("started", "completed", "failed")}  # fmt: skip
    for workflow in sorted({name for _, name in told["started"]}):
        counts = {}
        for kind, pairs in told.items():
            names = [call for call, name in pairs if name == workflow]
            counts[kind] = len(names)
            found["workflows", workflow, kind] = (number(len(names)), sorted(set(names)))
        rate = Fraction(counts["completed"], counts["started"])
        found["workflows", workflow, "completion_rate"] = (number(rate), found["workflows", workflow, "completed"][1])
    return found


def compliance(calls: list[Call]) -> dict[Key, Cell]:
    """A18: of the calls of an intent that were not short, those in which a prompt was heard."""
    heard = [(prompt, call) for call in calls for prompt in set(events(call, "compliance_prompt")) if not call.short]
    found: dict[Key, Cell] = {}
    for prompt, intent in sorted({(prompt, call.issue[1]) for prompt, call in heard if call.issue}):
        owed = [call.name for call in calls if not call.short and call.issue and call.issue[1] == intent]
        names = sorted(call.name for name, call in heard if name == prompt and call.name in owed)
        row = f"{prompt} {intent}"
        found["compliance", row, "delivered_sessions"] = (number(len(names)), names)
        found["compliance", row, "sessions"] = (number(len(owed)), owed)
        found["compliance", row, "delivered_rate"] = (number(Fraction(len(names), len(owed))), names)
    return found


def steps(call: Call) -> Iterable[tuple[int, str, str]]:
    """What happened in a call: when, what kind of thing, what."""
    for span in call.spans:
        word = span.name.removeprefix("voicebot.").split()[0]
        part = {"execute_tool": "tool", "chat": "llm"}.get(word, word)
        if word == "nlu":
            yield span.start, "intent", span.get("voicebot.intent.name")
        if word == "handoff":
            yield span.start, "handoff", span.get("voicebot.handoff.target")
        if word == "turn":
            answered = "bot.speech.start" in marks(span)
            yield span.end, "answer" if answered else "abandoned wait", span.get("voicebot.turn.end_reason") or ""
        if span.failed:
            yield span.start, "error", f"{part} {span.get('error.type')}"
        for name, at, values in span.events:
            if name.startswith("voicebot.event."):
                yield at, name.removeprefix("voicebot.event."), next(iter(values.values()))


def journey(calls: list[Call]) -> dict[Key, Cell]:
    """Step by step; the position is the measure."""
    found: dict[Key, Cell] = {}
    for call in calls:
        for position, (at, kind, what) in enumerate(sorted(steps(call)), 1):
            text = f"{number(seconds(at - call.root.start))} {kind} {what}".rstrip()
            found["journey", call.name, str(position)] = (text, [call.name])
    return found


def recompute(calls: list[Call]) -> dict[Key, Cell]:
    """Every cell."""
    parts = (speech, concurrency, workflows, compliance, journey)
    others = (sections_money.recompute, sections_limits.recompute, sections_work.recompute)
    return {key: cell for part in (*parts, *others) for key, cell in part(calls).items()}
