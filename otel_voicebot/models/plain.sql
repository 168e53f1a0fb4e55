-- plain: what steps is where every span carries a session id and none is nested: the joins cost a fifth of a report.
-- inputs: once
-- grain: one row per (trace_id, span_id).
SELECT
    session_id,
    'explicit' AS session_source,
    component IN ('stt', 'llm', 'tts', 'nlu', 'rag', 'tool', 'cache', 'api') AS operates,
    CASE WHEN turn_index > 0 THEN turn_index END AS turn_index,
    coalesce(status = 'error', false) OR (component = 'tool' AND error_type IS NOT NULL) AS failed,
    CASE WHEN duration_ns > 60000000000 AND component IN ('endpointing', 'llm', 'tts', 'nlu', 'rag', 'tool', 'cache', 'api')
        THEN NULL ELSE duration_ns END AS duration_ns,
    * EXCLUDE (session_id, turn_index, duration_ns)
FROM once
