"""The twelve calls with one thing changed: sections follow, cell by cell, as the script counts them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.models.twelve import moved, recompute, tables, take_in
from tests.models.twelve_sections import Key, counted, of_models

Span = dict[str, Any]


def changed(call: str, name: str, change: Callable[[Span], object]) -> list[str]:
    """The twelve calls; ``change`` is done to the first span of that name in one of them."""
    found = []
    for line in tables.lines():
        request = json.loads(line)
        spans: list[Span] = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
        own = {one["key"]: one["value"] for one in spans[0]["attributes"]}
        if own["session.id"]["stringValue"] == call:
            change(next(span for span in spans if span["name"] == name))
        found.append(json.dumps(request))
    return found


def without(key: str) -> Callable[[Span], object]:
    """An attribute is left out."""
    return lambda span: span.update(attributes=[one for one in span["attributes"] if one["key"] != key])


def with_text(key: str, text: str) -> Callable[[Span], object]:
    """An attribute has another value."""

    def change(span: Span) -> None:
        without(key)(span)
        span["attributes"].append({"key": key, "value": {"stringValue": text}})

    return change


def with_turn(number: int) -> Callable[[Span], object]:
    """It happened in another turn."""

    def change(span: Span) -> None:
        without("voicebot.turn.index")(span)
        span["attributes"].append({"key": "voicebot.turn.index", "value": {"intValue": str(number)}})

    return change


def fails(span: Span) -> None:
    """It ended in an error that it doesn't name."""
    span["status"] = {"code": 2}


CHANGES: dict[str, tuple[Callable[[], list[str]], dict[Key, Any]]] = {
    # what it cost is paid all the same: two calls of the lender for one success, and the router is ahead
    "a model call fails": (
        lambda: changed("s01", "chat gpt-4o-mini", fails),
        {
            ("agents", "lender approve", "cost_per_success_usd"): "0.0024",
            ("agents", "lender approve", "efficiency_rank"): "2",
            ("agents", "router escalate", "efficiency_rank"): "1",
            ("agent_costs", "decision approve", "efficiency_rank"): "2",
            ("errors", "llm openai _OTHER", "errors"): "1",
            ("services", "openai llm", "success_rate"): "12/13",
            ("load", "2026-03-01T10:00", "error_rate_5m"): "1/8",
        },
    ),
    # s01's 2 s, of 26 in eight days of March
    "a recogniser doesn't tell what it heard": (
        lambda: changed("s01", "voicebot.stt", without("voicebot.audio.duration")),
        {
            ("costs", "stt nova-3", "priced"): "13",
            ("costs", "stt nova-3", "cost_usd"): "0.026",
            ("cost_by_session", "s01", "cost_usd"): "0.0164",
            ("cost_by_session", "s01", "priced_share"): "6/7",
            ("quotas", "deepgram month seconds", "used_share"): "24/26",
            ("quotas", "deepgram month seconds", "state"): "warning",
            ("quotas", "deepgram month seconds", "unknown"): "1",
            ("summary", "cost_per_request_usd", "numerator"): "0.1489",
        },
    ),
    "a listener scores too": (
        lambda: changed("s03", "voicebot.tts", with_text("voicebot.mos.kind", "survey")),
        {("mos", "dnsmos", "mos"): "4", ("mos", "survey", "mos"): "3.5", ("mos", "survey", "scores"): "1"},
    ),
    # s04 told its outcome and had no handoff: now one more caller is lost, and one fewer is judged
    "nobody knows how a call ended": (
        lambda: changed("s04", "voicebot.session", without("voicebot.session.outcome")),
        {
            ("drop_off", "balance", "dropped"): "2",
            ("drop_off", "balance", "of_intent"): "2/3",
            ("drop_off", "balance", "mean_turns"): "3/2",
            ("bots", "bank", "session_success_rate"): "6/10",
        },
    ),
    # it is no success and no failure of what served it
    "nobody knows what became of a call that an entry served": (
        lambda: changed("s02", "voicebot.session", without("voicebot.session.outcome")),
        {
            ("cache_entries", "semantic greeting", "sessions"): "2",
            ("cache_entries", "semantic greeting", "resolved_share"): "1",
            ("intent_schemas", "v1", "resolved_share"): "1",
            ("drop_off", "loan", "dropped"): "1",
            ("outcomes", "unknown completed", "sessions"): "1",
        },
    ),
    # the gap of s08's first turn, 1 s, goes: 2, 2.5 and 0.5 s are left
    "a schema is used in a turn that the caller gave up": (
        lambda: changed("s08", "voicebot.nlu", with_turn(2)),
        {
            ("intent_schemas", "v2", "abandoned_rate"): "1/4",
            ("intent_schemas", "v2", "p50_s"): "2",
            ("intent_schemas", "v2", "turns"): "4",
        },
    ),
    # s10's tool failed at 10:00; s07's four operations begin three minutes later, or five
    "a call three minutes after a failure": (
        lambda: moved("s07", "2026-03-07T10:03:00"),
        {
            ("load", "2026-03-07T10:00", "error_rate_5m"): "1/5",
            ("load", "2026-03-07T10:03", "error_rate_5m"): "1/9",
        },
    ),
    "a call five minutes after a failure": (
        lambda: moved("s07", "2026-03-07T10:05:00"),
        {("load", "2026-03-07T10:05", "error_rate_5m"): "0"},
    ),
    "a cache doesn't tell whether it hit": (
        lambda: changed("s01", "voicebot.cache", without("voicebot.cache.hit")),
        {
            ("caches", "semantic", "lookups"): "2",
            ("caches", "semantic", "hit_rate"): "1/2",
            ("caches", "semantic", "met"): "no",
            ("cache_entries", "semantic greeting", "lookups"): "1",
            ("cache_entries", "semantic greeting", "turns"): "2",
            ("bots", "bank", "cache_hit_rate"): "1/3",
        },
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_sections_follow_a_change(tmp_path: Path, name: str) -> None:
    """Every cell is what the script counts in the changed spans, and those named here are what a pencil does."""
    make, cells = CHANGES[name]
    lines = make()
    found, wanted = of_models(take_in(tmp_path, lines)), counted(recompute.sections.recompute(recompute.read(lines)))
    assert {key: found.get(key) for key in wanted.keys() | found.keys() if found.get(key) != wanted.get(key)} == {}
    pencil = counted({key: (text, []) for key, text in cells.items()})
    assert {key: found[key] for key in cells} == pencil
