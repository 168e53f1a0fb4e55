-- wait_ends: how the exchanges' waits ended, and how long they lasted.
-- inputs: turns
-- grain: one row per (outcome, abandon_reason). Seconds from the caller's end of speech: of an answered exchange to the
--   first bot audio, of an abandoned one to the moment it was given up. The two are never put together: an abandoned
--   wait is only known to be longer than that. timed: those with a known length, of which the percentiles are;
--   untimed: the others.
SELECT
    outcome, abandon_reason, timed, untimed,
    lengths[1] AS p50_s, lengths[2] AS p95_s, lengths[3] AS p99_s, max_s
FROM (
    SELECT
        outcome, abandon_reason,
        count(coalesce(response_gap_s, wait_s)) AS timed,
        count(CASE WHEN response_gap_s IS NULL AND wait_s IS NULL THEN 1 END) AS untimed,
        quantile_cont(coalesce(response_gap_s, wait_s), [0.5, 0.95, 0.99]) AS lengths,
        max(coalesce(response_gap_s, wait_s)) AS max_s
    FROM turns
    WHERE kind = 'exchange'
    GROUP BY outcome, abandon_reason
)
ORDER BY outcome DESC, timed DESC, abandon_reason
