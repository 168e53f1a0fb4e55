-- summary: what was used and what it cost, in one table.
-- inputs: all_kpis, turns, cost_by_model, sessions
-- grain: one row per figure, none without a session; those that are KPIs as in all_kpis.
-- cost_per_request_usd: numerator cost_usd, denominator exchanges. cost_per_model_call_usd: numerator cost of the model calls that
--   have a price, denominator those. requests_per_minute: numerator exchanges, denominator minutes from the first that one began in to
--   the last, both counted. Null where there is nothing to divide by.
WITH asked AS (
    SELECT count(*) AS requests, max(start_nano) // 60000000000 - min(start_nano) // 60000000000 + 1 AS minutes
    FROM turns
    WHERE kind = 'exchange'
),
called AS (
    SELECT coalesce(sum(operations), 0)::BIGINT AS calls, coalesce(sum(priced), 0)::BIGINT AS priced, sum(cost_usd) AS cost_usd
    FROM cost_by_model
    WHERE component = 'llm'
),
total AS (
    SELECT value AS cost_usd FROM all_kpis WHERE name = 'cost_usd'
),
figures AS (
    SELECT position::DOUBLE AS position, name, unit, numerator, denominator, value
    FROM all_kpis
    WHERE name IN ('sessions', 'turns', 'error_rate', 'cache_hit_rate', 'input_tokens', 'output_tokens', 'cost_usd', 'priced_share',
        'cost_per_session_usd', 'cost_per_resolved_usd', 'cost_per_talk_minute_usd')
    UNION ALL SELECT 305.1, 'cost_per_request_usd', 'USD', cost_usd, requests, CASE WHEN requests > 0 THEN cost_usd / requests END FROM total, asked
    UNION ALL SELECT 305.2, 'model_calls', '{operation}', calls, NULL, calls FROM called
    UNION ALL SELECT 305.3, 'cost_per_model_call_usd', 'USD', cost_usd, priced, CASE WHEN priced > 0 THEN cost_usd / priced END FROM called
    UNION ALL SELECT 305.4, 'requests_per_minute', '1', requests, minutes, CASE WHEN requests > 0 THEN requests / minutes END FROM asked
)
SELECT position, name, unit, value, numerator, denominator
FROM figures
WHERE EXISTS (SELECT 1 FROM sessions)
ORDER BY position
