-- steps: every span once, with its session.
-- inputs: once, traces, nested
-- grain: one row per (trace_id, span_id).
-- session_id: the explicit id, else one that another span of the trace carries, else the trace id.
-- turn_index: null where it is below 1, which is no turn.
-- operates: the span is an operation (STT, LLM, TTS, NLU, RAG, tool, cache, API) and not nested in one of its own kind.
SELECT
    coalesce(o.session_id, t.trace_session_id, lower(hex(o.trace_id))) AS session_id,
    CASE WHEN coalesce(o.session_id, t.trace_session_id) IS NULL THEN 'trace' ELSE 'explicit' END AS session_source,
    n.nested IS NULL AND o.component IN ('stt', 'llm', 'tts', 'nlu', 'rag', 'tool', 'cache', 'api') AS operates,
    CASE WHEN o.turn_index > 0 THEN o.turn_index END AS turn_index,
    o.* EXCLUDE (session_id, turn_index)
FROM once o
LEFT JOIN traces t ON t.trace_id = o.trace_id
LEFT JOIN nested n ON n.span_id = o.span_id AND n.trace_id = o.trace_id
