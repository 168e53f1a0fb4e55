"""Which model rows feed which metrics: the whole mapping, in one place."""

import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv as s
from otel_voicebot.live.aggregate import Aggregator, Encoded, encoded

__all__ = ["JUDGED", "record_answers", "record_handoffs", "record_operations", "record_sessions", "record_turns"]

JUDGED = ("short", "eligible", "escalated", "contained")
"""Columns that the model ``calls`` adds to ``sessions``; they aren't stored, as a setting decides what is short."""

_SESSION_LABELS = s.RESPONSE_GAP.labels
_OPERATION_LABELS = s.TIME_TO_FIRST.labels
_OF_TURNS = (
    *(*_SESSION_LABELS, "trace_id", "kind", "outcome", "abandon_reason", "response_gap_s", "wait_s", "interrupted"),
    "quality",
)


def record_operations(into: Aggregator, rows: pa.Table) -> None:
    """Feed rows of the model ``operations``, each once."""
    labels = _labels(rows, _OPERATION_LABELS)
    # a cache's name is told by its lookups: here it would be a series for each cache
    done = pc.if_else(pc.equal(rows["component"], "cache"), None, rows["operation"])
    into.observe(s.OPERATION_DURATION, {**labels, "operation": done}, rows["duration_s"])
    into.observe(s.TIME_TO_FIRST, labels, rows["time_to_first_chunk_s"])
    failed = rows.filter(pc.fill_null(rows["failed"], False))  # noqa: FBT003 - Arrow's signature
    into.count(
        s.ERRORS,
        {**_labels(failed, _OPERATION_LABELS), "error_type": pc.fill_null(failed["error_type"], "_OTHER")},
        rows=failed.num_rows,
    )
    served = {name: labels[name] for name in ("bot", "provider", "model")}
    for direction in ("input", "output"):
        into.count(s.TOKENS, {**served, "direction": direction}, rows[f"{direction}_tokens"])
    # As in the KPI: errors count against a reference of known length only.
    errors = pc.if_else(pc.is_valid(rows["wer_words"]), pc.fill_null(rows["wer_errors"], 0), None)
    into.count(s.WER_ERROR_COUNT, served, errors)
    into.count(s.WER_WORD_COUNT, served, rows["wer_words"])
    into.observe(s.MOS_SCORES, {**served, "kind": rows["mos_kind"]}, rows["mos"])

    lookups = rows.filter(pc.and_(pc.equal(rows["component"], "cache"), pc.is_valid(rows["cache_hit"])))
    result = pc.if_else(lookups["cache_hit"], "hit", "miss")
    into.count(
        s.CACHE_LOOKUPS,
        {"bot": lookups["bot"], "cache": lookups["cache_name"], "level": lookups["cache_level"], "result": result},
        rows=lookups.num_rows,
    )

    classified = rows.filter(pc.equal(rows["component"], "nlu"))
    confidence = classified["confidence"]
    result = pc.if_else(pc.less(confidence, 0.7), "low_confidence", "confident")
    sure = pc.if_else(pc.is_null(confidence), "unknown", result)
    fallback = pc.fill_null(classified["intent_fallback"], False)  # noqa: FBT003 - Arrow's signature
    into.count(
        s.CLASSIFICATIONS,
        {"bot": classified["bot"], "result": sure, "fallback": pc.if_else(fallback, "true", "false")},
        rows=classified.num_rows,
    )


def record_turns(into: Aggregator, rows: pa.Table) -> None:
    """Feed rows of the model ``turns``, each turn once."""
    _record_segments(into, rows)
    rows = rows.select(_OF_TURNS)  # each filter copies what is there
    exchanges = rows.filter(pc.equal(rows["kind"], "exchange"))
    labels = _labels(exchanges, _SESSION_LABELS)
    by_bot = {"bot": labels["bot"]}
    into.count(s.TURNS, {**labels, "outcome": exchanges["outcome"]}, rows=exchanges.num_rows)
    into.count(s.ORCHESTRATOR_REQUESTS, by_bot, rows=exchanges.num_rows)
    gaps, traces = exchanges["response_gap_s"], exchanges["trace_id"]
    into.observe(s.RESPONSE_GAP, labels, gaps, traces)
    into.observe(s.ORCHESTRATOR_LATENCY, by_bot, gaps, traces)
    given_up = exchanges.select([*_SESSION_LABELS, "abandon_reason", "wait_s"])
    abandoned = given_up.filter(pc.is_valid(given_up["wait_s"]))
    reasons = {**_labels(abandoned, _SESSION_LABELS), "reason": abandoned["abandon_reason"]}
    into.observe(s.ABANDONED_WAIT, reasons, abandoned["wait_s"])
    answered = pc.fill_null(pc.equal(rows["outcome"], "answered"), False)  # noqa: FBT003 - Arrow's signature
    # what interruptions are a share of: a reply that the end of the call cut off tells nothing
    spoken = pc.and_(pc.or_(pc.equal(rows["kind"], "greeting"), answered), pc.is_valid(rows["interrupted"]))
    replies = rows.filter(spoken)
    into.count(s.REPLIES, _labels(replies, _SESSION_LABELS), rows=replies.num_rows)
    interrupted = replies.filter(replies["interrupted"])
    into.count(s.INTERRUPTIONS, _labels(interrupted, _SESSION_LABELS), rows=interrupted.num_rows)
    broken = rows.filter(pc.greater(pc.list_value_length(rows["quality"]), 0)).select(["bot", "quality"])
    if broken.num_rows:
        rules = pc.list_flatten(broken["quality"])
        bots = broken["bot"].take(pc.list_parent_indices(broken["quality"]))
        into.count(s.BROKEN_RULES, {"bot": bots, "rule": rules}, rows=len(rules))


def _record_segments(into: Aggregator, rows: pa.Table) -> None:
    """Feed the segments of answered exchanges: those of abandoned ones are of waits that were cut short."""
    answered = rows.select(["bot", "segments"]).filter(pc.is_valid(rows["response_gap_s"]))
    segments = pc.list_flatten(answered["segments"])
    if not len(segments):
        return
    bots, parents = encoded(answered["bot"]), pc.list_parent_indices(answered["segments"])
    labels = {
        "bot": Encoded(bots.codes[parents.to_numpy()], bots.texts),
        **{name: encoded(pc.struct_field(segments, name)) for name in ("segment", "owner")},
    }
    into.observe(s.SEGMENT_DURATION, labels, pc.struct_field(segments, "duration_s"))


def record_sessions(into: Aggregator, rows: pa.Table) -> None:
    """Feed rows of the model ``calls``, each session once."""
    labels = _labels(rows, _SESSION_LABELS)
    into.count(s.SESSIONS, {**labels, "outcome": rows["outcome"]}, rows=rows.num_rows)
    into.observe(s.SESSION_DURATION, labels, rows["duration_s"])
    handled = rows.filter(pc.greater(rows["answered"], 0))
    into.observe(s.HANDLE_TIME, _labels(handled, _SESSION_LABELS), handled["duration_s"])
    eligible = rows.filter(rows["eligible"])
    kept = pc.if_else(eligible["contained"], "true", "false")
    into.count(s.ELIGIBLE, {**_labels(eligible, _SESSION_LABELS), "contained": kept}, rows=eligible.num_rows)
    record_answers(into, rows)


def record_answers(into: Aggregator, rows: pa.Table) -> None:
    """Feed the answers to surveys that these rows hold: sessions, or facts that came after theirs."""
    for metric, column in ((s.CSAT_SCORES, "csat"), (s.NPS_SCORES, "nps")):
        answers = rows.filter(pc.is_valid(rows[column]))
        into.count(metric, {**_labels(answers, ("bot", "variant")), "score": answers[column]}, rows=answers.num_rows)


def record_handoffs(into: Aggregator, spans: pa.Table) -> None:
    """Feed handoff spans (any columns of spans; others are left out), each once."""
    rows = spans.filter(pc.equal(spans["component"], "handoff"))
    blocked = pc.fill_null(rows["handoff_blocked"], False)  # noqa: FBT003 - Arrow's signature
    outcome = pc.if_else(blocked, "blocked", pc.if_else(pc.equal(rows["status"], "error"), "failed", "completed"))
    target = pc.if_else(pc.equal(rows["handoff_target"], "human"), "human", "bot")
    into.count(s.HANDOFFS, {"bot": rows["bot"], "target": target, "outcome": outcome}, rows=rows.num_rows)
    # one that is blocked takes no time, and would hide how long the others take
    length = pc.if_else(blocked, None, pc.divide(pc.cast(rows["duration_ns"], pa.float64()), 1e9))
    into.observe(s.HANDOFF_DURATION, {"bot": rows["bot"], "target": target}, length)


def _labels(rows: pa.Table, names: tuple[str, ...]) -> dict[str, object]:
    return {name: encoded(rows[name]) for name in names} if rows.num_rows else dict.fromkeys(names, "")
