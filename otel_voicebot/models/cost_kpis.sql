-- cost_kpis: what calls cost.
-- inputs: costs, sessions
-- grain: one row per KPI: cost_usd, cost_per_session_usd, cost_per_resolved_usd, cost_per_talk_minute_usd, priced_share.
-- unit: USD; priced_share 1
-- numerator: the sum of what has a price. denominator: sessions; resolved sessions; minutes of all calls, from their
--   start to their end. priced_share: things with a price / things that are paid for.
-- exclusions: things without a known price or usage: the cost is higher by what they cost. Null where nothing has a price.
WITH paid AS (
    SELECT sum(cost_usd)::DOUBLE AS total, count(cost_usd) AS priced, count(*) AS things FROM costs
),
se AS (
    SELECT count(*) AS n, count(CASE WHEN outcome = 'resolved' THEN 1 END) AS resolved, sum(duration_s) / 60 AS minutes
    FROM sessions
)
SELECT position, name, unit, numerator::DOUBLE AS numerator, denominator::DOUBLE AS denominator, excluded, exclusion,
    NULL::BIGINT AS provisional,
    CASE WHEN denominator > 0 THEN numerator / denominator WHEN alone THEN numerator END::DOUBLE AS value
FROM (
    SELECT 301 AS position, 'cost_usd' AS name, 'USD' AS unit, total AS numerator, NULL AS denominator, things - priced AS excluded, 'no price, or no usage' AS exclusion, true AS alone FROM paid
    UNION ALL SELECT 302, 'cost_per_session_usd', 'USD', total, n, things - priced, 'no price, or no usage', false FROM paid, se
    UNION ALL SELECT 303, 'cost_per_resolved_usd', 'USD', total, resolved, things - priced, 'no price, or no usage', false FROM paid, se
    UNION ALL SELECT 304, 'cost_per_talk_minute_usd', 'USD', total, minutes, things - priced, 'no price, or no usage', false FROM paid, se
    UNION ALL SELECT 305, 'priced_share', '1', priced, things, 0, NULL, false FROM paid
)
