-- drop_off: what callers wanted last, of the calls that came to no end of their own.
-- inputs: operations, calls
-- grain: one row per last intent; null where none was classified.
-- dropped: calls that were abandoned, short ones left out, or whose outcome nobody knows. share: numerator dropped with
--   that last intent, denominator all that dropped. of_intent: numerator the same, denominator calls with that last intent.
WITH last AS (
    SELECT session_id, arg_max(intent, CASE WHEN intent IS NOT NULL THEN start_unix_nano END) AS intent
    FROM operations
    WHERE component = 'nlu'
    GROUP BY session_id
),
judged AS (
    SELECT l.intent, NOT c.short AND c.outcome IN ('abandoned', 'unknown') AS dropped, c.duration_s, c.turns
    FROM calls c
    LEFT JOIN last l ON l.session_id = c.session_id
)
SELECT
    intent AS last_intent, count(CASE WHEN dropped THEN 1 END) AS dropped, count(*) AS sessions,
    CASE WHEN sum(count(CASE WHEN dropped THEN 1 END)) OVER () > 0
        THEN count(CASE WHEN dropped THEN 1 END) / sum(count(CASE WHEN dropped THEN 1 END)) OVER () END AS share,
    count(CASE WHEN dropped THEN 1 END) / count(*) AS of_intent,
    avg(CASE WHEN dropped THEN turns END) AS mean_turns, avg(CASE WHEN dropped THEN duration_s END) AS mean_duration_s
FROM judged
GROUP BY intent
ORDER BY dropped DESC, last_intent
