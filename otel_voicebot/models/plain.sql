-- plain: what steps is where every span carries a session id and none is nested: the joins cost a fifth of a report.
-- inputs: once
-- grain: one row per (trace_id, span_id).
-- list_position: DuckDB asks a function of a column once for each of its values in a file, and IN for each row, by a join.
SELECT
    session_id,
    'explicit' AS session_source,
    {operates} AS operates,
    CASE WHEN turn_index > 0 THEN turn_index END AS turn_index,
    coalesce(status = 'error', false) OR (component = 'tool' AND error_type IS NOT NULL) AS failed,
    CASE WHEN duration_ns > 60000000000
            AND list_position(['endpointing', 'llm', 'tts', 'nlu', 'rag', 'tool', 'cache', 'api'], component) IS NOT NULL
        THEN NULL ELSE duration_ns END AS duration_ns,
    provider, model, error_type, input_tokens, output_tokens, cached_input_tokens, audio_s, characters,  -- as in steps
    * EXCLUDE (
        session_id, turn_index, duration_ns, provider, model, error_type,
        input_tokens, output_tokens, cached_input_tokens, audio_s, characters
    )
FROM once
