-- adapters: what operations did under each intent schema and adapter (fine-tuned variant).
-- inputs: operations, wide
-- grain: one row per (component, adapter, intent_schema) that an operation names. Seconds; error_rate: numerator errors, denominator operations.
WITH named AS (
    SELECT DISTINCT lower(hex(trace_id)) AS trace_id, lower(hex(span_id)) AS span_id, attributes['{intent_schema}'] AS intent_schema
    FROM wide
    WHERE attributes['{intent_schema}'] IS NOT NULL
)
SELECT
    o.component, o.adapter, n.intent_schema, count(*) AS operations, count(CASE WHEN o.failed THEN 1 END) AS errors,
    count(CASE WHEN o.failed THEN 1 END) / count(*) AS error_rate,
    avg(o.confidence) AS mean_confidence, count(CASE WHEN o.intent_fallback THEN 1 END) AS fallbacks,
    quantile_cont(o.duration_s, 0.5) AS p50_s, quantile_cont(o.duration_s, 0.95) AS p95_s,
    try_cast(sum(o.wer_errors) AS BIGINT) AS wer_errors, try_cast(sum(o.wer_words) AS BIGINT) AS wer_words
FROM operations o
LEFT JOIN named n ON n.trace_id = o.trace_id AND n.span_id = o.span_id
WHERE o.adapter IS NOT NULL OR n.intent_schema IS NOT NULL
GROUP BY o.component, o.adapter, n.intent_schema
ORDER BY operations DESC, o.component, o.adapter, n.intent_schema
