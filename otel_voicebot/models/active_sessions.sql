-- active_sessions: calls under way at as_of.
-- inputs: sessions, steps
-- grain: one row. unit: {session}. A session is under way until its own span has come, or until it was silent for
--   idle_timeout_s: a framework whose calls have no span of their own, or a bot that was killed, says no end.
SELECT count(*) AS active
FROM sessions s
WHERE s.end_time > getvariable('as_of') - getvariable('idle_timeout_s') * INTERVAL 1 SECOND
    AND NOT EXISTS (SELECT 1 FROM steps e WHERE e.session_id = s.session_id AND e.component = 'session')
