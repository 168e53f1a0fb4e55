-- contacts: calls of known callers about a known thing, each with the nearest others of the same caller and intent.
-- inputs: sessions_all, earlier, events
-- grain: one row per session with user_hash and intent, whatever the report's window and filters: who called again called
--   again, also on another channel or after the window. earlier: such calls of the 31 days before the window.
-- before_end_time: the latest end of those that began before it. next_start_time: when the next one began, or a callback
--   is told of (event {callback}), which is a contact without spans of its own.
WITH known AS (
    SELECT session_id, user_hash, intent, start_time, end_time
    FROM sessions_all
    WHERE user_hash IS NOT NULL AND intent IS NOT NULL
    UNION ALL
    SELECT session_id, user_hash, intent, start_time, end_time
    FROM earlier e
    WHERE NOT EXISTS (SELECT 1 FROM sessions_all s WHERE s.session_id = e.session_id)
),
back AS (
    SELECT session_id, make_timestamp(min(at_nano) // 1000) AT TIME ZONE 'UTC' AS back_time
    FROM events
    WHERE event = '{callback}'
    GROUP BY session_id
)
SELECT
    k.session_id, k.user_hash, k.intent, k.start_time, k.end_time,
    max(k.end_time) OVER (
        PARTITION BY k.user_hash, k.intent ORDER BY k.start_time, k.session_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS before_end_time,
    least(
        lead(k.start_time) OVER (PARTITION BY k.user_hash, k.intent ORDER BY k.start_time, k.session_id), b.back_time
    ) AS next_start_time
FROM known k
LEFT JOIN back b ON b.session_id = k.session_id
