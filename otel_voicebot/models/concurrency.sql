-- concurrency: how many callers were on the line at once.
-- inputs: sessions
-- grain: one row per hour (UTC) in which a call began or ended. peak: the most at one moment of that hour, from the
--   hour's first such moment on. A call that ends when another begins isn't beside it.
WITH moments AS (
    SELECT start_time AS moment, 1 AS step, 1 AS begun FROM sessions
    UNION ALL
    SELECT end_time, -1, 0 FROM sessions
),
lines AS (
    SELECT moment, begun, sum(step) OVER (ORDER BY moment, step ROWS UNBOUNDED PRECEDING) AS callers FROM moments
)
SELECT date_trunc('hour', moment) AS hour, sum(begun)::BIGINT AS begun, max(callers)::BIGINT AS peak
FROM lines
GROUP BY date_trunc('hour', moment)
ORDER BY hour
