-- plain: what steps is where every span carries a session id and none is nested: the joins cost a fifth of a report.
-- inputs: once
-- grain: one row per (trace_id, span_id).
SELECT
    session_id,
    'explicit' AS session_source,
    component IN ('stt', 'llm', 'tts', 'nlu', 'rag', 'tool', 'cache', 'api') AS operates,
    CASE WHEN turn_index > 0 THEN turn_index END AS turn_index,
    * EXCLUDE (session_id, turn_index)
FROM once
