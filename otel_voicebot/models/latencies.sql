-- latencies: how long operations took in the windows that end at as_of.
-- inputs: operations
-- grain: one row per (hours, component, provider, model, bot, operation); hours: 1, 24, 168, 720, 2160 (1 h to 90 d).
-- Percentiles interpolate linearly, seconds; broken durations are left out. per_minute: operations / minutes of the window.
-- success_rate: numerator operations that didn't fail, denominator operations.
SELECT
    w.hours, o.component, o.provider, o.model, o.bot, o.operation,
    count(*) AS operations, count(CASE WHEN o.failed THEN 1 END) AS errors,
    count(CASE WHEN NOT o.failed THEN 1 END) / count(*) AS success_rate,
    count(*) / (w.hours * 60) AS per_minute,
    avg(o.duration_s) AS mean_s, min(o.duration_s) AS min_s, max(o.duration_s) AS max_s,
    quantile_cont(o.duration_s, 0.5) AS p50_s,
    quantile_cont(o.duration_s, 0.95) AS p95_s,
    quantile_cont(o.duration_s, 0.99) AS p99_s
FROM (VALUES (1), (24), (168), (720), (2160)) w (hours)
JOIN operations o
    ON o.start_time > getvariable('as_of') - w.hours * INTERVAL 1 HOUR AND o.start_time <= getvariable('as_of')
GROUP BY w.hours, o.component, o.provider, o.model, o.bot, o.operation
ORDER BY w.hours, o.component, o.provider, o.model, o.bot, o.operation
