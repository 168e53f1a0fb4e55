-- earlier: calls of the 31 days before a report's window, as far as a later call may be a repeat of them.
-- inputs: before
-- grain: one row per session with user_hash and intent. intent: the session's own span's, else the first classified one.
--   Only what this needs is read of those days; turns and outcomes aren't computed.
SELECT session_id, user_hash, intent, start_time, end_time
FROM (
    SELECT
        coalesce(session_id, lower(hex(trace_id))) AS session_id,
        max(user_hash) AS user_hash,
        coalesce(
            max(CASE WHEN component = 'session' THEN intent END),
            arg_min(CASE WHEN component = 'nlu' THEN intent END, CASE WHEN component = 'nlu' AND intent IS NOT NULL THEN start_unix_nano END)
        ) AS intent,
        make_timestamp(coalesce(min(CASE WHEN component = 'session' THEN start_unix_nano END), min(start_unix_nano)) // 1000) AT TIME ZONE 'UTC' AS start_time,
        make_timestamp(coalesce(max(CASE WHEN component = 'session' THEN end_unix_nano END), max(end_unix_nano)) // 1000) AT TIME ZONE 'UTC' AS end_time
    FROM before
    WHERE user_hash IS NOT NULL OR intent IS NOT NULL
    GROUP BY coalesce(session_id, lower(hex(trace_id)))
)
WHERE user_hash IS NOT NULL AND intent IS NOT NULL
