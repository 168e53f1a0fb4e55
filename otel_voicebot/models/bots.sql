-- bots: one row of figures for each bot, beside the others.
-- inputs: operations, turns, calls
-- grain: one row per bot. success_rate: numerator operations that didn't fail, denominator operations.
--   session_success_rate: as in automation. Seconds.
WITH done AS (
    SELECT bot, count(*) AS operations, count(CASE WHEN failed THEN 1 END) AS errors,
        count(CASE WHEN component = 'cache' THEN cache_hit END) AS lookups,
        count(CASE WHEN component = 'cache' AND cache_hit THEN 1 END) AS hits
    FROM operations GROUP BY bot
),
heard AS (
    SELECT bot, count(CASE WHEN kind = 'exchange' THEN 1 END) AS turns,
        quantile_cont(response_gap_s, 0.5) AS p50_s, quantile_cont(response_gap_s, 0.95) AS p95_s,
        quantile_cont(response_gap_s, 0.99) AS p99_s
    FROM turns GROUP BY bot
),
called AS (
    SELECT bot, count(*) AS sessions, count(CASE WHEN escalated THEN 1 END) AS escalated,
        count(CASE WHEN outcome = 'resolved' THEN 1 END) AS resolved,
        count(CASE WHEN NOT short AND outcome <> 'unknown' THEN 1 END) AS judged
    FROM calls GROUP BY bot
)
SELECT
    c.bot, c.sessions, h.turns, h.p50_s, h.p95_s, h.p99_s, d.operations, d.errors,
    CASE WHEN d.operations > 0 THEN (d.operations - d.errors) / d.operations END AS success_rate,
    CASE WHEN d.lookups > 0 THEN d.hits / d.lookups END AS cache_hit_rate,
    c.escalated,
    CASE WHEN c.judged > 0 THEN c.resolved / c.judged END AS session_success_rate
FROM called c
LEFT JOIN heard h ON h.bot IS NOT DISTINCT FROM c.bot
LEFT JOIN done d ON d.bot IS NOT DISTINCT FROM c.bot
ORDER BY c.sessions DESC, c.bot
