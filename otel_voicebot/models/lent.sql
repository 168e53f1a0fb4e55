-- lent: what an operation takes from the calls nested in it, where it doesn't tell it itself.
-- Pipecat's model call has no tokens without enable_usage_metrics, but the instrumented client in it has.
-- inputs: once, nested
-- grain: one row per operation (trace_id, span_id) with others of its component in it; of three in each other the innermost are asked, too.
-- Each number is the sum of what the calls right in it tell, or, where one doesn't, those in that.
-- provider and model: both of the last call that tells a model, as the provider of another call needn't have that model; where
--   none tells one, the provider of the last that tells it. Of an operation that tells one of the two, the other is that of the
--   last call that tells it. 1000000000: behind all that tell a model.
-- failed: the last call did, and the operation doesn't say how it went (failed, well, or with an answer's tokens): a retry that
--   succeeded is no error, nor is a call that was cancelled. A call that doesn't say it went as the last in it. fate: 1 failed, 0 well.
WITH calls AS MATERIALIZED (
    SELECT
        o.trace_id, o.span_id, n.outer_id, o.provider, o.model, o.error_type,
        o.input_tokens, o.output_tokens, o.cached_input_tokens, o.audio_s, o.characters,
        CASE WHEN coalesce(o.error_type, '') NOT IN ('CancelledError', 'asyncio.exceptions.CancelledError', 'GeneratorExit')
                AND (coalesce(o.status = 'error', false) OR (o.component = 'tool' AND o.error_type IS NOT NULL)) THEN 1
            WHEN o.status IN ('ok', 'error') OR o.output_tokens > 0 THEN 0 END AS fate,
        outside.model IS NOT NULL AS named,
        coalesce(outside.status NOT IN ('ok', 'error'), true) AND coalesce(outside.output_tokens, 0) = 0 AS asks,
        row_number() OVER (PARTITION BY o.trace_id, n.outer_id ORDER BY o.start_unix_nano DESC, o.end_unix_nano DESC, o.span_id) AS place
    FROM nested n
    JOIN once o ON o.span_id = n.span_id AND o.trace_id = n.trace_id
    JOIN once outside ON outside.span_id = n.outer_id AND outside.trace_id = n.trace_id
),
below AS (
    SELECT
        trace_id, outer_id,
        arg_min_null(
            provider, CASE WHEN model IS NOT NULL AND NOT named THEN place WHEN provider IS NOT NULL THEN place + 1000000000 END
        ) AS provider,
        arg_min(model, CASE WHEN model IS NOT NULL THEN place END) AS model,
        sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens,
        sum(cached_input_tokens) AS cached_input_tokens,
        sum(audio_s) AS audio_s,
        sum(characters) AS characters,
        max(CASE WHEN place = 1 THEN fate END) AS fate,
        max(CASE WHEN place = 1 THEN error_type END) AS error_type
    FROM calls
    GROUP BY trace_id, outer_id
),
inside AS (
    SELECT
        c.trace_id, c.outer_id, c.place, c.named, c.asks,
        coalesce(c.provider, b.provider) AS provider,
        coalesce(c.model, b.model) AS model,
        coalesce(c.input_tokens, b.input_tokens) AS input_tokens,
        coalesce(c.output_tokens, b.output_tokens) AS output_tokens,
        coalesce(c.cached_input_tokens, b.cached_input_tokens) AS cached_input_tokens,
        coalesce(c.audio_s, b.audio_s) AS audio_s,
        coalesce(c.characters, b.characters) AS characters,
        coalesce(c.fate, b.fate, 0) AS fate,
        CASE WHEN c.fate IS NOT NULL THEN c.error_type ELSE coalesce(c.error_type, b.error_type) END AS error_type
    FROM calls c
    LEFT JOIN below b ON b.outer_id = c.span_id AND b.trace_id = c.trace_id
)
SELECT
    trace_id, outer_id AS span_id,
    arg_min_null(
        provider, CASE WHEN model IS NOT NULL AND NOT named THEN place WHEN provider IS NOT NULL THEN place + 1000000000 END
    ) AS provider,
    arg_min(model, CASE WHEN model IS NOT NULL THEN place END) AS model,
    try_cast(sum(input_tokens) AS BIGINT) AS input_tokens,
    try_cast(sum(output_tokens) AS BIGINT) AS output_tokens,
    try_cast(sum(cached_input_tokens) AS BIGINT) AS cached_input_tokens,
    sum(audio_s) AS audio_s,
    try_cast(sum(characters) AS BIGINT) AS characters,
    max(CASE WHEN place = 1 AND asks THEN fate ELSE 0 END) = 1 AS failed,
    max(CASE WHEN place = 1 AND asks AND fate = 1 THEN error_type END) AS error_type
FROM inside
GROUP BY trace_id, outer_id
