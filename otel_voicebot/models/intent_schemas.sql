-- intent_schemas: how well each version of the intent schema understands, and what became of its turns and calls.
-- inputs: operations, wide, turns, sessions
-- grain: one row per version that an NLU operation names.
-- low_confidence_rate: numerator below 0.7, denominator operations with a confidence. fallback_rate: numerator fallbacks,
--   denominator operations. turns, p50_s, p95_s, abandoned_rate, resolved_share: as in cache_entries, of turns in which it was used.
WITH named AS (
    SELECT DISTINCT lower(hex(trace_id)) AS trace_id, lower(hex(span_id)) AS span_id, attributes['{intent_schema}'] AS intent_schema
    FROM wide
    WHERE attributes['{intent_schema}'] IS NOT NULL
),
understood AS (
    SELECT n.intent_schema, o.session_id, o.turn_index, o.intent, o.confidence, o.intent_fallback
    FROM operations o
    JOIN named n ON n.trace_id = o.trace_id AND n.span_id = o.span_id
    WHERE o.component = 'nlu'
),
counted AS (
    SELECT intent_schema, count(*) AS classifications, count(DISTINCT intent) AS intents, count(confidence) AS confident,
        avg(confidence) AS mean_confidence, count(CASE WHEN confidence < 0.7 THEN 1 END) AS low_confidence,
        count(CASE WHEN intent_fallback THEN 1 END) AS fallbacks
    FROM understood
    GROUP BY intent_schema
),
heard AS (
    SELECT u.intent_schema, count(*) AS turns, count(CASE WHEN t.kind = 'exchange' THEN 1 END) AS exchanges,
        count(CASE WHEN t.outcome = 'abandoned' THEN 1 END) AS abandoned,
        quantile_cont(t.response_gap_s, 0.5) AS p50_s, quantile_cont(t.response_gap_s, 0.95) AS p95_s
    FROM (SELECT DISTINCT intent_schema, session_id, turn_index FROM understood) u
    JOIN turns t ON t.session_id = u.session_id AND t.turn_index = u.turn_index
    GROUP BY u.intent_schema
),
called AS (
    SELECT u.intent_schema, count(*) AS sessions, count(CASE WHEN s.outcome <> 'unknown' THEN 1 END) AS judged,
        count(CASE WHEN s.outcome = 'resolved' THEN 1 END) AS resolved
    FROM (SELECT DISTINCT intent_schema, session_id FROM understood) u
    JOIN sessions s ON s.session_id = u.session_id
    GROUP BY u.intent_schema
)
SELECT
    n.intent_schema, n.classifications, n.intents, n.mean_confidence,
    CASE WHEN n.confident > 0 THEN n.low_confidence / n.confident END AS low_confidence_rate,
    n.fallbacks / n.classifications AS fallback_rate,
    coalesce(h.turns, 0) AS turns, h.p50_s, h.p95_s,
    CASE WHEN h.exchanges > 0 THEN h.abandoned / h.exchanges END AS abandoned_rate,
    coalesce(c.sessions, 0) AS sessions, CASE WHEN c.judged > 0 THEN c.resolved / c.judged END AS resolved_share
FROM counted n
LEFT JOIN heard h ON h.intent_schema = n.intent_schema
LEFT JOIN called c ON c.intent_schema = n.intent_schema
ORDER BY n.intent_schema
