-- sla: whether the latencies of a window kept their targets.
-- inputs: operations, turns, steps, sessions, targets
-- grain: one row per (hours, target, quantile): windows of 1 h, 24 h and 7 d that end at as_of.
-- component turn: the response gap of answered exchanges, the whole pipeline as the caller hears it. A target that names no
--   component, bot or operation means all of them.
-- measured_s: the quantile, linear, seconds. met: measured_s <= target_s; null where nothing was measured.
-- violations: those longer than the target. denominator: n, those with a duration.
WITH timed AS (
    SELECT component, bot, operation, start_time, duration_s FROM operations WHERE duration_s IS NOT NULL
    UNION ALL
    SELECT component, bot, operation, start_time, duration_ns / 1e9
    FROM steps
    WHERE component = 'handoff' AND duration_ns IS NOT NULL AND session_id IN (SELECT session_id FROM sessions)
    UNION ALL
    SELECT 'turn', bot, NULL, make_timestamp(start_nano // 1000) AT TIME ZONE 'UTC', response_gap_s
    FROM turns
    WHERE response_gap_s IS NOT NULL
),
measured AS (
    SELECT
        w.hours, t.position, t.component, t.bot, t.operation, t.quantile, t.target_s, t.asked,
        count(d.duration_s) AS n,
        count(CASE WHEN d.duration_s > t.target_s THEN 1 END) AS violations,
        quantile_cont(d.duration_s, 0.5) AS p50, quantile_cont(d.duration_s, 0.95) AS p95, quantile_cont(d.duration_s, 0.99) AS p99
    FROM (VALUES (1), (24), (168)) w (hours)
    CROSS JOIN targets t
    LEFT JOIN timed d
        ON d.start_time > getvariable('as_of') - w.hours * INTERVAL 1 HOUR AND d.start_time <= getvariable('as_of')
        AND (t.component IS NULL AND d.component NOT IN ('turn', 'handoff') OR d.component = t.component)
        AND (t.bot IS NULL OR d.bot = t.bot)
        AND (t.operation IS NULL OR d.operation = t.operation)
    GROUP BY w.hours, t.position, t.component, t.bot, t.operation, t.quantile, t.target_s, t.asked
),
chosen AS (
    SELECT *, CASE quantile WHEN 'p50' THEN p50 WHEN 'p95' THEN p95 ELSE p99 END AS measured_s FROM measured
)
SELECT hours, component, bot, operation, quantile, target_s, measured_s, measured_s <= target_s AS met, n, violations
FROM chosen
WHERE n > 0 OR asked
ORDER BY hours, position, quantile
