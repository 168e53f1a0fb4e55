-- outcomes: how calls ended.
-- inputs: sessions
-- grain: one row per (outcome, end_reason).
SELECT outcome, end_reason, count(*) AS sessions, avg(duration_s) AS mean_duration_s, avg(turns) AS mean_turns
FROM sessions
GROUP BY outcome, end_reason
ORDER BY sessions DESC, outcome, end_reason
