-- framed: what the placing of spans reads, of traces in which a framework's spans don't carry the turn they belong to.
-- inputs: once, traces, nested, lent
-- grain: one row per (trace_id, span_id). b and e: start and end, unix nanoseconds.
-- framework: the span is the framework's own. heads: it is a turn, or LiveKit's caller's half of one.
-- operates: as in steps. works: it is a stage of the reply.
-- Seconds beyond a day are null: as nanoseconds they may not fit, and what a sender made up must not stop the query. Of a reported gap
--   a day is left: nothing else says that the reply was heard, and that its gap is broken.
SELECT
    coalesce(o.session_id, t.trace_session_id, lower(hex(o.trace_id))) AS session_id,
    o.trace_id, o.span_id, o.parent_span_id, o.name, o.component, o.dialect, o.turn_index, o.exchange_key,
    o.start_unix_nano AS b, o.end_unix_nano AS e,
    o.dialect NOT IN ({flat}) AS framework,
    o.dialect NOT IN ({flat})
        AND (o.component = 'turn' OR (o.dialect = 'livekit' AND o.component = 'stt')) AS heads,
    o.component IN ({operations}) AND n.nested IS NULL AS operates,
    o.component IN ('llm', 'tts', 'nlu', 'rag', 'tool', 'cache', 'api') AND n.nested IS NULL AS works,
    coalesce(o.status = 'error', false) OR coalesce(l.failed, false) AS failed,
    o.interrupted, o.end_reason, o.outcome,
    CASE WHEN abs(o.time_to_first_chunk_s) <= 86400 THEN o.time_to_first_chunk_s END AS time_to_first_chunk_s,
    CASE WHEN o.reported_gap_s > 86400 THEN 86400 WHEN o.reported_gap_s < -86400 THEN -86400 ELSE o.reported_gap_s END AS reported_gap_s,
    CASE WHEN abs(o.transcription_delay_s) <= 86400 THEN o.transcription_delay_s END AS transcription_delay_s,
    CASE WHEN abs(o.endpointing_delay_s) <= 86400 THEN o.endpointing_delay_s END AS endpointing_delay_s
FROM once o
LEFT JOIN traces t ON t.trace_id = o.trace_id
LEFT JOIN nested n ON n.span_id = o.span_id AND n.trace_id = o.trace_id
LEFT JOIN lent l ON l.span_id = o.span_id AND l.trace_id = o.trace_id
WHERE o.trace_id IN (
    SELECT trace_id FROM once
    WHERE turn_index IS NULL AND component NOT IN ('session', 'other')
        AND dialect NOT IN ({flat})
)
