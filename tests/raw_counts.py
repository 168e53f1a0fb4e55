"""Counts a data directory anew: raw ``spans`` files, pyarrow and plain Python, nothing of the package.

``python tests/raw_counts.py DATA [PRICES]`` prints ``{"kpis": ..., "metrics": ...}``. Written from the
definitions, not from the SQL: what it computes is what the report and ``/metrics`` must say of the same spans.
"""

import json
import math
import sys
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Span = dict[str, Any]
Labels = tuple[str, ...]

OPERATIONS = ("stt", "llm", "tts", "nlu", "rag", "tool", "cache", "api")
SHORT_SESSION_S = 5.0
LOW_CONFIDENCE = 0.7
HUMAN_INTERACTION_USD = 5.0

GAP_EDGES = (
    *(0.5, 0.65, 0.8, 1, 1.15, 1.3, 1.45, 1.5, 1.65, 1.8, 2, 2.2, 2.45, 2.7, 3, 3.3, 3.5, 3.85, 4.25, 4.7, 5),
    *(5.55, 6.2, 6.95, 7.85, 8, 9.1, 10.4, 11.9, 13.5),
)
COMPONENT_EDGES = (0.1, 0.2, 0.35, 0.375, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8)
SESSION_EDGES = (5, 15, 30, 60, 90, 120, 180, 240, 300, 420, 600, 900, 1800, 3600)
MOS_EDGES = (1.5, 2, 2.5, 3, 3.5, 4, 4.5)

USER_START, USER_END = "voicebot.user.speech.start", "voicebot.user.speech.end"
BOT_START = "voicebot.bot.speech.start"


# ---- spans --------------------------------------------------------------------------------------------------------


def read_spans(data: Path) -> tuple[list[Span], int]:
    """Every span once (the copy that came in first), and how many rows there were."""
    rows: list[Span] = []
    for path in sorted((data / "hot" / "spans").rglob("*.parquet")):
        rows += pq.ParquetFile(path).read().to_pylist()
    first: dict[tuple[bytes, bytes], Span] = {}
    for row in sorted(rows, key=lambda row: row["ingest_time"]):
        first.setdefault((row["trace_id"], row["span_id"]), row)
    return list(first.values()), len(rows)


def component(span: Span) -> str:
    """By the span's name, where it is one of ours; else what the dialect made of it."""
    head = span["name"].split(" ")[0]
    ours = {"chat": "llm", "execute_tool": "tool", "voicebot.feedback": "other"}
    if head in ours:
        return ours[head]
    return head.removeprefix("voicebot.") if head.startswith("voicebot.") else span["component"]


def resolve_sessions(spans: list[Span]) -> None:
    """A span without a session id has that of its trace, else the trace id."""
    by_trace: dict[bytes, str] = {}
    for span in spans:
        if span["session_id"] is not None:
            trace = span["trace_id"]
            by_trace[trace] = min(span["session_id"], by_trace.get(trace, span["session_id"]))
    for span in spans:
        if span["session_id"] is None:
            span["session_id"] = by_trace.get(span["trace_id"], span["trace_id"].hex())


def operations_of(spans: list[Span]) -> list[Span]:
    """Operations; of those inside one of the same component only the outermost, with what only the inner ones tell."""
    by_key = {(span["trace_id"], span["span_id"]): span for span in spans}
    inside: dict[int, list[Span]] = defaultdict(list)
    found = []
    for span in spans:
        parent = by_key.get((span["trace_id"], span["parent_span_id"]))
        if span["component"] in OPERATIONS and parent is not None and parent["component"] == span["component"]:
            inside[id(parent)].append(span)
        elif span["component"] in OPERATIONS:
            found.append(span)
    for span in found:
        _fill(span, inside)
    return found


def _fill(span: Span, inside: dict[int, list[Span]]) -> None:
    """Tokens, length, service and failure that a span doesn't tell: those of the operations right in it."""
    inner = sorted(inside[id(span)], key=lambda one: -one["start_unix_nano"])
    answered = bool(span["output_tokens"])
    for one in inner:
        _fill(one, inside)
    for name in ("input_tokens", "output_tokens", "cached_input_tokens", "audio_s", "characters"):
        told = [one[name] for one in inner if one[name] is not None]
        if span[name] is None and told:
            span[name] = sum(told)
    modelled, provided = ([one for one in inner if one[name] is not None] for name in ("model", "provider"))
    pair = modelled if span["model"] is None and modelled else provided
    if span["provider"] is None and pair:
        span["provider"] = pair[0]["provider"]
    if span["model"] is None and modelled:
        span["model"] = modelled[0]["model"]
    if inner and span["status"] == "unset" and not answered and inner[0]["status"] == "error":
        span["status"], span["error_type"] = "error", span["error_type"] or inner[0]["error_type"]


def speech(turn_spans: list[Span]) -> tuple[int | None, int | None]:
    """The caller's end of speech that the bot answered, or else the last one, and the audio that answered it.

    An answer comes before the caller speaks again. Where the caller said nothing: the bot's first audio. Nanoseconds.
    """
    found: dict[str, list[int]] = defaultdict(list)
    for span in turn_spans:
        for event in span["events"]:
            found[event["name"]].append(event["unix_nano"])
    ends, bot_starts = sorted(found[USER_END]), sorted(found[BOT_START])
    for bot_start in bot_starts:
        before = [end for end in ends if end <= bot_start]
        if before and not any(before[-1] < start <= bot_start for start in found[USER_START]):
            return before[-1], bot_start
    return (ends[-1], None) if ends else (None, bot_starts[0] if bot_starts else None)


# ---- turns and sessions ---------------------------------------------------------------------------------------------


def turn_of(spans: list[Span], operates: set[int]) -> Span:
    """One turn: its kind, outcome, response gap and whether its reply was interrupted."""
    own = [span for span in spans if span["component"] == "turn"]
    user_end, bot_start = speech(own)
    endpointings = [span for span in spans if span["component"] == "endpointing"]
    heard = bool(endpointings) or any(span["component"] == "stt" for span in spans)
    spoken = any(id(s) in operates and s["component"] == "tts" and s["status"] != "error" for s in spans)
    undecided = bool(endpointings) and all(span["outcome"] in ("resumed", "dropped") for span in endpointings)
    unmarked = user_end is None and bot_start is None
    answered = bot_start is not None or (unmarked and spoken)
    if undecided and bot_start is None:
        kind = "other"
    elif user_end is not None or (unmarked and heard):
        kind = "exchange"
    else:
        kind = "greeting" if answered else "other"
    gap = (
        (bot_start - user_end) / 1e9 if kind == "exchange" and bot_start is not None and user_end is not None else None
    )
    return {
        **stamps(spans),
        "kind": kind,
        "outcome": ("answered" if answered else "abandoned") if kind == "exchange" else None,
        "gap": gap,
        **given_up(spans, operates, user_end if kind == "exchange" and not answered else None),
        "interrupted": any(span["interrupted"] for span in own),
    }


def given_up(spans: list[Span], operates: set[int], user_end: int | None) -> Span:
    """How long an abandoned exchange lasted from the caller's end of speech (None: it was none), and why it ended."""
    own = [span for span in spans if span["component"] == "turn"]
    failed = any(id(s) in operates and s["component"] in ("llm", "tts") and s["status"] == "error" for s in spans)
    said = next((span["end_reason"] for span in own if span["end_reason"] is not None), None)
    if failed:
        said = "error"
    elif said not in ("spoke_again", "hung_up", "session_ended"):
        said = "spoke_again" if any(span["interrupted"] for span in own) else "session_ended"
    end = max(span["end_unix_nano"] for span in own or spans)
    return {"wait": None if user_end is None else max(end - user_end, 0) / 1e9, "reason": said}


def session_of(spans: list[Span], turns: list[Span]) -> Span:
    """One session: outcome, length, handoffs, survey answers."""
    own = [span for span in spans if span["component"] == "session"]
    timed = own or [span for span in spans if span["name"] != "voicebot.feedback"] or spans
    start, end = min(span["start_unix_nano"] for span in timed), max(span["end_unix_nano"] for span in timed)
    handoffs = [span for span in spans if span["component"] == "handoff"]
    escalations = [
        span
        for span in handoffs
        if span["handoff_target"] == "human"
        and span["status"] != "error"
        and not span["handoff_planned"]
        and not span["handoff_blocked"]
    ]
    reported = _last(span for span in spans if span["outcome"] is not None and span["component"] != "endpointing")
    outcome = reported["outcome"] if reported else "escalated" if escalations else "unknown"
    duration = max(end - start, 0) / 1e9
    short = outcome == "abandoned" and duration < SHORT_SESSION_S
    rated, recommended = (_last(span for span in spans if span[name] is not None) for name in ("csat", "nps"))
    return {
        **stamps(spans),
        "outcome": outcome,
        "duration": duration,
        "short": short,
        "eligible": not short and not any(span["handoff_planned"] for span in handoffs),
        "escalated": bool(escalations),
        "answered": sum(turn["outcome"] == "answered" for turn in turns),
        "csat": rated["csat"] if rated else None,
        "nps": recommended["nps"] if recommended else None,
    }


def stamps(spans: list[Span]) -> Span:
    """Bot, channel, variant and environment of what these spans are of."""
    names = ("bot", "channel", "variant", "environment")
    return {name: next((span[name] for span in spans if span[name] is not None), None) for name in names}


def _last(spans: Iterable[Span]) -> Span | None:
    return max(spans, key=lambda span: span["end_unix_nano"], default=None)


# ---- KPIs -----------------------------------------------------------------------------------------------------------


def kpi(numerator: float | None, denominator: float | None = None, excluded: int = 0, *, factor: float = 1) -> Span:
    """A share of something, or a number alone."""
    value = numerator
    if denominator is not None:
        value = factor * numerator / denominator if denominator and numerator is not None else None
    return {"value": value, "numerator": numerator, "denominator": denominator, "excluded": excluded}


def total(values: Iterable[float | None]) -> float | None:
    """Sum of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """Linear interpolation between the nearest two."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def censored_percentile(waits: Sequence[tuple[float, bool]], share: float) -> float | None:
    """Kaplan-Meier: the wait after which at most 1 - share still wait; None where the curve never falls that low.

    Args:
        waits: length, and whether it ended by an answer.
        share: between 0 and 1.
    """
    waiting = Fraction(1)
    for length in sorted({length for length, answered in waits if answered}):
        answered = sum(one == length and yes for one, yes in waits)
        waiting *= 1 - Fraction(answered, sum(one >= length for one, _ in waits))
        if waiting <= 1 - Fraction(str(share)):
            return length
    return None


def turn_kpis(turns: list[Span]) -> dict[str, Span]:
    """Of waiting and interrupting."""
    exchanges = [turn for turn in turns if turn["kind"] == "exchange"]
    abandoned = sum(turn["outcome"] == "abandoned" for turn in exchanges)
    replies = [turn for turn in turns if turn["kind"] == "greeting" or turn["outcome"] == "answered"]
    gaps = [turn["gap"] for turn in exchanges if turn["gap"] is not None]
    found = {
        "turns": kpi(len(exchanges)),
        "abandoned_wait_rate": kpi(abandoned, len(exchanges)),
        "interruption_rate": kpi(sum(turn["interrupted"] for turn in replies), len(replies)),
    }
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        value = percentile(gaps, share)
        found[f"response_gap_{name}_s"] = {
            **kpi(value, excluded=len(exchanges) - len(gaps)),
            "denominator": len(gaps),
        }
        timed = [(gap, True) for gap in gaps] + [
            (turn["wait"], False) for turn in exchanges if turn["wait"] is not None
        ]
        value = censored_percentile(timed, share)
        found[f"wait_km_{name}_s"] = {**kpi(value, excluded=len(exchanges) - len(timed)), "denominator": len(timed)}
    return found


def contained(session: Span) -> bool:
    """Of an eligible session: whether the bot kept it."""
    return not session["escalated"] and session["outcome"] not in ("abandoned", "failed", "escalated")


def session_kpis(sessions: list[Span]) -> dict[str, Span]:
    """Of calls and how they ended."""
    n = len(sessions)
    eligible = [one for one in sessions if one["eligible"]]
    handled = [one for one in sessions if one["answered"]]
    kept_whole = [one for one in eligible if contained(one)]
    short = sum(one["short"] for one in sessions)
    gone = sum(one["outcome"] == "abandoned" and not one["short"] for one in sessions)
    csat = [one["csat"] for one in sessions if one["csat"] is not None]
    nps = [one["nps"] for one in sessions if one["nps"] is not None]
    points = sum(score >= 9 for score in nps) - sum(score <= 6 for score in nps)
    left_out = n - len(eligible)
    judged = [one for one in sessions if not one["short"] and one["outcome"] != "unknown"]
    kept = sum(not one["escalated"] and one["outcome"] != "escalated" for one in sessions)
    return {
        "sessions": kpi(n),
        "automation_rate": kpi(kept, n),
        "cost_savings_usd": kpi(kept * HUMAN_INTERACTION_USD if n else None),
        "session_success_rate": kpi(sum(one["outcome"] == "resolved" for one in judged), len(judged), n - len(judged)),
        "csat_response_rate": kpi(len(csat), n),
        "nps_response_rate": kpi(len(nps), n),
        "aht_s": kpi(total(one["duration"] for one in handled), len(handled), n - len(handled)),
        "containment": kpi(len(kept_whole), len(eligible), left_out),
        "escalation_rate": kpi(sum(one["escalated"] for one in eligible), len(eligible), left_out),
        "abandonment_rate": kpi(gone, n - short, short),
        "csat_share": kpi(sum(score >= 4 for score in csat), len(csat), n - len(csat)),
        "csat_mean": kpi(total(csat), len(csat), n - len(csat)),
        "nps": kpi(points, len(nps), n - len(nps), factor=100),
    }


def operation_kpis(operations: list[Span]) -> dict[str, Span]:
    """Of the bot's parts."""
    referenced = [one for one in operations if one["wer_words"] is not None]
    unreferenced = sum(one["component"] == "stt" and one["wer_words"] is None for one in operations)
    lookups = [one for one in operations if one["component"] == "cache" and one["cache_hit"] is not None]
    models = [one for one in operations if one["component"] == "llm"]
    uncounted = sum(one["input_tokens"] is None and one["output_tokens"] is None for one in models)
    nlu = [one for one in operations if one["component"] == "nlu"]
    sure = [one["confidence"] for one in nlu if one["confidence"] is not None]
    return {
        "error_rate": kpi(sum(one["status"] == "error" for one in operations), len(operations)),
        "wer": kpi(
            total(one["wer_errors"] for one in referenced), total(one["wer_words"] for one in referenced), unreferenced
        ),
        "cache_hit_rate": kpi(sum(one["cache_hit"] for one in lookups), len(lookups)),
        "input_tokens": kpi(total(one["input_tokens"] for one in operations), excluded=uncounted),
        "output_tokens": kpi(total(one["output_tokens"] for one in operations), excluded=uncounted),
        "low_confidence_rate": kpi(sum(c < LOW_CONFIDENCE for c in sure), len(sure), len(nlu) - len(sure)),
        "fallback_rate": kpi(sum(bool(one["intent_fallback"]) for one in nlu), len(nlu)),
    }


def event_kpis(spans: list[Span]) -> dict[str, Span]:
    """Of what the bot tells by events."""
    told = Counter(event["name"] for span in spans for event in span["events"])
    ended = told["voicebot.event.workflow_completed"]
    return {"completion_rate": kpi(ended, told["voicebot.event.workflow_started"])}


def cost_of(one: Span, prices: Span) -> float | None:
    """USD of an operation that is paid for; None where its usage is unknown. One price for each kind of service."""
    kind = one["component"]
    price = prices[kind][0]
    if kind == "stt":
        return None if one["audio_s"] is None else one["audio_s"] * price["per_second"]
    if kind == "tts":
        return None if one["characters"] is None else one["characters"] * price["per_character"]
    if one["input_tokens"] is None or one["output_tokens"] is None:
        return None
    put, out = one["input_tokens"] * price["per_million_input"], one["output_tokens"] * price["per_million_output"]
    return (put + out) / 1_000_000


def paid(operations: list[Span], sessions: list[Span], prices: Span) -> list[Span]:
    """What is paid for, with its labels: operations, and the lines of calls."""
    served = [one for one in operations if one["component"] in ("stt", "llm", "tts")]
    rates = {one["channel"]: one["per_minute"] for one in prices["telephony"]}
    return [
        *({**_labels(one, "bot component provider model"), "usd": cost_of(one, prices)} for one in served),
        *(
            {
                "bot": one["bot"],
                "component": "telephony",
                "provider": "",
                "model": one["channel"],
                "usd": one["duration"] / 60 * rates[one["channel"]],
            }
            for one in sessions
            if one["channel"] in rates
        ),
    ]


def cost_kpis(things: list[Span], sessions: list[Span]) -> dict[str, Span]:
    """Of money."""
    usd = total(one["usd"] for one in things)
    priced = sum(one["usd"] is not None for one in things)
    resolved = sum(one["outcome"] == "resolved" for one in sessions)
    minutes = math.fsum(one["duration"] for one in sessions) / 60
    left = len(things) - priced
    return {
        "cost_usd": kpi(usd, excluded=left),
        "cost_per_session_usd": kpi(usd, len(sessions), left),
        "cost_per_resolved_usd": kpi(usd, resolved, left),
        "cost_per_talk_minute_usd": kpi(usd, minutes, left),
        "priced_share": kpi(priced, len(things)),
    }


# ---- metrics --------------------------------------------------------------------------------------------------------


class Samples:
    """Prometheus samples by name and label values, as ``/metrics`` shows them."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)

    def add(self, name: str, amount: float = 1, **labels: object) -> None:
        """Raise one sample."""
        shown = tuple(sorted((key, "" if value is None else str(value)) for key, value in labels.items()))
        self.values[name, shown] += amount

    def observe(self, name: str, edges: Sequence[float], value: float | None, **labels: object) -> None:
        """Put a value into a histogram: cumulative buckets, count and sum."""
        if value is None:
            return
        place = bisect_left(edges, value)
        for position, edge in enumerate((*edges, math.inf)):
            shown = "+Inf" if edge == math.inf else repr(float(edge))
            self.add(f"{name}_bucket", float(position >= place), **labels, le=shown)
        self.add(f"{name}_count", **labels)
        self.add(f"{name}_sum", value, **labels)


def _labels(row: Span, names: str) -> dict[str, object]:
    return {name: row[name] for name in names.split()}


def operation_samples(into: Samples, operations: list[Span]) -> None:
    """What operations feed."""
    for one in operations:
        labels, served = _labels(one, "bot component provider model"), _labels(one, "bot provider model")
        seconds = one["duration_ns"] / 1e9 if one["duration_ns"] is not None else None
        done = None if one["component"] == "cache" else one["operation"]
        into.observe("voicebot_operation_duration_seconds", COMPONENT_EDGES, seconds, **labels, operation=done)
        first = one["time_to_first_chunk_s"]
        into.observe("voicebot_operation_time_to_first_chunk_seconds", COMPONENT_EDGES, first, **labels)
        into.observe("voicebot_mos", MOS_EDGES, one["mos"], **served, kind=one["mos_kind"])
        if one["status"] == "error":
            into.add("voicebot_errors_total", **labels, error_type=one["error_type"])
        for direction in ("input", "output"):
            if (tokens := one[f"{direction}_tokens"]) is not None:
                into.add("voicebot_tokens_total", tokens, **served, direction=direction)
        if one["wer_words"] is not None:
            into.add("voicebot_wer_words_total", one["wer_words"], **served)
            into.add("voicebot_wer_errors_total", one["wer_errors"] or 0, **served)
        if one["component"] == "cache" and one["cache_hit"] is not None:
            result = "hit" if one["cache_hit"] else "miss"
            named = {"cache": one["cache_name"], "level": one["cache_level"]}
            into.add("voicebot_cache_lookups_total", bot=one["bot"], result=result, **named)
        if one["component"] == "nlu":
            sure = one["confidence"]
            result = "unknown" if sure is None else "low_confidence" if sure < LOW_CONFIDENCE else "confident"
            fallback = "true" if one["intent_fallback"] else "false"
            into.add("voicebot_nlu_classifications_total", bot=one["bot"], result=result, fallback=fallback)


def cost_samples(into: Samples, things: list[Span]) -> None:
    """What is paid for."""
    for one in things:
        if one["usd"] is not None:
            into.add("voicebot_cost_total", one["usd"], **_labels(one, "bot component provider model"))
        known = "false" if one["usd"] is None else "true"
        into.add("voicebot_cost_operations_total", bot=one["bot"], component=one["component"], priced=known)


def turn_samples(into: Samples, turns: list[Span]) -> None:
    """What turns feed."""
    for turn in turns:
        labels = _labels(turn, "bot channel variant environment")
        if turn["kind"] == "exchange":
            into.add("voicebot_turns_total", **labels, outcome=turn["outcome"])
            into.add("orchestrator_requests_total", bot=turn["bot"])
            into.observe("voicebot_turn_response_gap_seconds", GAP_EDGES, turn["gap"], **labels)
            into.observe("orchestrator_request_latency_seconds", GAP_EDGES, turn["gap"], bot=turn["bot"])
            reason = {"reason": turn["reason"]}
            into.observe("voicebot_turn_abandoned_wait_seconds", GAP_EDGES, turn["wait"], **labels, **reason)
        if turn["kind"] == "greeting" or turn["outcome"] == "answered":
            into.add("voicebot_replies_total", **labels)
            if turn["interrupted"]:
                into.add("voicebot_interruptions_total", **labels)


def session_samples(into: Samples, sessions: list[Span], spans: list[Span]) -> None:
    """What sessions and handoffs feed."""
    for one in sessions:
        labels = _labels(one, "bot channel variant environment")
        into.add("voicebot_sessions_total", **labels, outcome=one["outcome"])
        into.observe("voicebot_session_duration_seconds", SESSION_EDGES, one["duration"], **labels)
        if one["answered"]:
            into.observe("voicebot_session_handle_time_seconds", SESSION_EDGES, one["duration"], **labels)
        if one["eligible"]:
            kept = "true" if contained(one) else "false"
            into.add("voicebot_sessions_eligible_total", **labels, contained=kept)
        for name in ("csat", "nps"):
            if one[name] is not None:
                into.add(f"voicebot_{name}_total", bot=one["bot"], variant=one["variant"], score=one[name])
    for span in spans:
        if span["component"] == "handoff":
            outcome = "blocked" if span["handoff_blocked"] else "failed" if span["status"] == "error" else "completed"
            target = "human" if span["handoff_target"] == "human" else "bot"
            into.add("voicebot_handoffs_total", bot=span["bot"], target=target, outcome=outcome)
            seconds = None if outcome == "blocked" else span["duration_ns"] / 1e9
            into.observe("voicebot_handoff_duration_seconds", COMPONENT_EDGES, seconds, bot=span["bot"], target=target)


# ---- all of it ------------------------------------------------------------------------------------------------------


def _grouped(spans: Iterable[Span], key: Callable[[Span], Any]) -> dict[Any, list[Span]]:
    groups: dict[Any, list[Span]] = defaultdict(list)
    for span in spans:
        groups[key(span)].append(span)
    return groups


def count(data: Path, prices: Span | None) -> dict[str, Any]:
    """KPIs and samples of everything in a data directory; what it costs where prices are told."""
    spans, rows = read_spans(data)
    for span in spans:
        span["component"] = component(span)
    resolve_sessions(spans)
    operations = operations_of(spans)
    operates = {id(span) for span in operations}
    in_turns = [span for span in spans if span["turn_index"] is not None and span["component"] != "session"]
    turns, by_session = [], defaultdict(list)
    for (session, _), parts in _grouped(in_turns, lambda span: (span["session_id"], span["turn_index"])).items():
        turns.append(turn_of(parts, operates))
        by_session[session].append(turns[-1])
    whole = _grouped(spans, lambda span: span["session_id"]).items()
    sessions = [session_of(parts, by_session[session]) for session, parts in whole]
    samples = Samples()
    operation_samples(samples, operations)
    turn_samples(samples, turns)
    session_samples(samples, sessions, spans)
    things = paid(operations, sessions, prices) if prices else []
    cost_samples(samples, things)
    return {
        "rows": rows,
        "components": Counter(span["component"] for span in spans),
        "kpis": {
            **session_kpis(sessions),
            **turn_kpis(turns),
            **operation_kpis(operations),
            **event_kpis(spans),
            **(cost_kpis(things, sessions) if prices else {}),
        },
        "metrics": [[name, dict(labels), value] for (name, labels), value in sorted(samples.values.items())],
    }


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[2]).read_text()) if sys.argv[2:] else None
    print(json.dumps(count(Path(sys.argv[1]), told), indent=1))
