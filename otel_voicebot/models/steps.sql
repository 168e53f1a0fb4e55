-- steps: every span once, with its session.
-- inputs: once, traces, nested, lent, placed
-- grain: one row per (trace_id, span_id).
-- session_id: the explicit id, else one that another span of the trace carries, else the trace id.
-- turn_index: as placed, else the span's own; null where it is below 1, which is no turn.
-- duration_ns: null where it is broken: see the quality rules.
-- failed: its status says so, or, of a tool, its error.type: LiveKit leaves the status unset; or the call nested in it failed.
-- provider, model, tokens, audio_s, characters, error_type: its own, else what the calls nested in it tell.
-- operates: the span is an operation (STT, LLM, TTS, NLU, RAG, tool, cache, API) and not nested in one of its own kind.
SELECT
    coalesce(o.session_id, t.trace_session_id, lower(hex(o.trace_id))) AS session_id,
    CASE WHEN coalesce(o.session_id, t.trace_session_id) IS NULL THEN 'trace' ELSE 'explicit' END AS session_source,
    n.nested IS NULL AND o.component IN ({operations}) AS operates,
    coalesce(p.turn_index, CASE WHEN o.turn_index > 0 THEN o.turn_index END) AS turn_index,
    coalesce(o.status = 'error', false) OR (o.component = 'tool' AND o.error_type IS NOT NULL)
        OR coalesce(l.failed, false) AS failed,
    CASE WHEN o.duration_ns > 60000000000 AND o.component IN ('endpointing', 'llm', 'tts', 'nlu', 'rag', 'tool', 'cache', 'api')
        THEN NULL ELSE o.duration_ns END AS duration_ns,
    coalesce(o.provider, l.provider) AS provider,
    coalesce(o.model, l.model) AS model,
    coalesce(o.error_type, l.error_type) AS error_type,
    coalesce(o.input_tokens, l.input_tokens) AS input_tokens,
    coalesce(o.output_tokens, l.output_tokens) AS output_tokens,
    coalesce(o.cached_input_tokens, l.cached_input_tokens) AS cached_input_tokens,
    coalesce(o.audio_s, l.audio_s) AS audio_s,
    coalesce(o.characters, l.characters) AS characters,
    o.* EXCLUDE (
        session_id, turn_index, duration_ns, provider, model, error_type,
        input_tokens, output_tokens, cached_input_tokens, audio_s, characters
    )
FROM once o
LEFT JOIN traces t ON t.trace_id = o.trace_id
LEFT JOIN nested n ON n.span_id = o.span_id AND n.trace_id = o.trace_id
LEFT JOIN lent l ON l.span_id = o.span_id AND l.trace_id = o.trace_id
LEFT JOIN placed p ON p.span_id = o.span_id AND p.trace_id = o.trace_id
