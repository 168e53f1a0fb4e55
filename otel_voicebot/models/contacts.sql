-- contacts: calls of known callers about a known thing, each with the nearest others of the same caller and intent.
-- inputs: sessions_all, earlier
-- grain: one row per session with user_hash and intent, whatever the report's window and filters: who called again called
--   again, also on another channel or after the window. earlier: such calls of the 31 days before the window.
-- before_end_time: the latest end of those that began before it. next_start_time: when the next one began.
WITH known AS (
    SELECT session_id, user_hash, intent, start_time, end_time
    FROM sessions_all
    WHERE user_hash IS NOT NULL AND intent IS NOT NULL
    UNION ALL
    SELECT session_id, user_hash, intent, start_time, end_time
    FROM earlier e
    WHERE NOT EXISTS (SELECT 1 FROM sessions_all s WHERE s.session_id = e.session_id)
)
SELECT
    session_id, user_hash, intent, start_time, end_time,
    max(end_time) OVER (
        PARTITION BY user_hash, intent ORDER BY start_time, session_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS before_end_time,
    lead(start_time) OVER (PARTITION BY user_hash, intent ORDER BY start_time, session_id) AS next_start_time
FROM known
