-- breakdown_shares: how far the framework's own figures of a wait are from what its segments say, over all turns.
-- inputs: breakdowns
-- grain: one row per (dialect, part); parts as in breakdowns. Seconds; difference: segments less framework, largest by its size.
SELECT
    dialect, part, count(*) AS turns,
    quantile_cont(framework_s, 0.5) AS framework_p50_s,
    quantile_cont(segments_s, 0.5) AS segments_p50_s,
    quantile_cont(difference_s, 0.5) AS difference_p50_s,
    arg_max(difference_s, abs(difference_s)) AS difference_max_s
FROM breakdowns
GROUP BY dialect, part
ORDER BY dialect, part
