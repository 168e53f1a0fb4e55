-- component_latencies: how long the bot's parts took, whichever service did the work.
-- inputs: operations
-- grain: one row per component. Percentiles interpolate linearly, seconds, over timed; broken durations are left out.
-- errors: operations that failed.
SELECT
    component,
    count(*) AS operations,
    count(CASE WHEN failed THEN 1 END) AS errors,
    count(duration_s) AS timed,
    quantile_cont(duration_s, 0.5) AS p50_s,
    quantile_cont(duration_s, 0.95) AS p95_s,
    quantile_cont(duration_s, 0.99) AS p99_s
FROM operations
GROUP BY component
ORDER BY component
