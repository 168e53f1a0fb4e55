-- lent: what an operation takes from the calls nested in it, where it doesn't tell it itself.
-- Pipecat's model call has no tokens without enable_usage_metrics, but the instrumented client in it has.
-- inputs: once, nested
-- grain: one row per operation (trace_id, span_id) with others of its component nested in it, however deep.
-- Of the outermost nested calls that tell it: each number is summed; provider and model are those of the last of them.
-- failed: the last call did, and the operation says neither that it failed nor that all is well: a retry that succeeded is
--   no error, nor is a call that was cancelled. An inner call that doesn't say how it went, went as those in it did.
-- fate: 1 failed, 0 well, null what the calls in it say. *_told: no call in it is asked any more.
WITH RECURSIVE told AS MATERIALIZED (
    SELECT
        o.trace_id, o.span_id, n.outer_id, o.start_unix_nano, o.end_unix_nano, o.provider, o.model, o.error_type,
        o.input_tokens, o.output_tokens, o.cached_input_tokens, o.audio_s, o.characters,
        CASE WHEN coalesce(o.error_type, '') NOT IN ('CancelledError', 'asyncio.exceptions.CancelledError', 'GeneratorExit')
                AND (coalesce(o.status = 'error', false) OR (o.component = 'tool' AND o.error_type IS NOT NULL)) THEN 1
            WHEN o.status IN ('ok', 'error') OR h.outer_id IS NULL THEN 0 END AS fate
    FROM once o
    LEFT JOIN nested n ON n.span_id = o.span_id AND n.trace_id = o.trace_id
    LEFT JOIN (SELECT trace_id, outer_id FROM nested GROUP BY trace_id, outer_id) h ON h.outer_id = o.span_id AND h.trace_id = o.trace_id
    WHERE o.span_id IN (SELECT span_id FROM nested UNION ALL SELECT outer_id FROM nested)
),
inside AS (
    SELECT trace_id, span_id AS top, span_id, 0 AS depth, start_unix_nano, end_unix_nano, provider, model, error_type,
        input_tokens, output_tokens, cached_input_tokens, audio_s, characters, fate,
        provider IS NOT NULL AS provider_told, model IS NOT NULL AS model_told,
        input_tokens IS NOT NULL AS input_told, output_tokens IS NOT NULL AS output_told,
        cached_input_tokens IS NOT NULL AS cached_told, audio_s IS NOT NULL AS audio_told,
        characters IS NOT NULL AS characters_told, fate IS NOT NULL AS fate_told
    FROM told
    WHERE outer_id IS NULL
    UNION ALL
    SELECT t.trace_id, i.top, t.span_id, i.depth + 1 AS depth, t.start_unix_nano, t.end_unix_nano,
        CASE WHEN NOT i.provider_told THEN t.provider END AS provider,
        CASE WHEN NOT i.model_told THEN t.model END AS model,
        t.error_type,
        CASE WHEN NOT i.input_told THEN t.input_tokens END AS input_tokens,
        CASE WHEN NOT i.output_told THEN t.output_tokens END AS output_tokens,
        CASE WHEN NOT i.cached_told THEN t.cached_input_tokens END AS cached_input_tokens,
        CASE WHEN NOT i.audio_told THEN t.audio_s END AS audio_s,
        CASE WHEN NOT i.characters_told THEN t.characters END AS characters,
        CASE WHEN NOT i.fate_told THEN t.fate END AS fate,
        i.provider_told OR t.provider IS NOT NULL AS provider_told,
        i.model_told OR t.model IS NOT NULL AS model_told,
        i.input_told OR t.input_tokens IS NOT NULL AS input_told,
        i.output_told OR t.output_tokens IS NOT NULL AS output_told,
        i.cached_told OR t.cached_input_tokens IS NOT NULL AS cached_told,
        i.audio_told OR t.audio_s IS NOT NULL AS audio_told,
        i.characters_told OR t.characters IS NOT NULL AS characters_told,
        i.fate_told OR t.fate IS NOT NULL AS fate_told
    FROM inside i
    JOIN told t ON t.outer_id = i.span_id AND t.trace_id = i.trace_id
),
latest AS (
    SELECT *,
        row_number() OVER (PARTITION BY trace_id, top ORDER BY start_unix_nano DESC, depth DESC, end_unix_nano DESC, span_id) AS place
    FROM inside
    WHERE depth > 0
)
SELECT
    trace_id, top AS span_id,
    arg_min(CASE WHEN provider IS NOT NULL THEN provider END, CASE WHEN provider IS NOT NULL THEN place END) AS provider,
    arg_min(CASE WHEN model IS NOT NULL THEN model END, CASE WHEN model IS NOT NULL THEN place END) AS model,
    try_cast(sum(input_tokens) AS BIGINT) AS input_tokens,
    try_cast(sum(output_tokens) AS BIGINT) AS output_tokens,
    try_cast(sum(cached_input_tokens) AS BIGINT) AS cached_input_tokens,
    sum(audio_s) AS audio_s,
    try_cast(sum(characters) AS BIGINT) AS characters,
    coalesce(min(CASE WHEN fate = 1 THEN place END) = min(CASE WHEN fate IS NOT NULL THEN place END), false) AS failed,
    arg_min(CASE WHEN fate = 1 THEN error_type END, CASE WHEN fate = 1 THEN place END) AS error_type
FROM latest
GROUP BY trace_id, top
