-- issues: what known callers called about, each with what became of it: what first call resolution counts.
-- inputs: contacts, calls
-- grain: one row per issue and window (1, 7, 30 days).
-- An issue starts with a session of a known caller and intent, not a short one, with no session of the same caller and
--   intent that ended in the window before its start (or is still going on then). bot: of that first session.
-- state: provisional where its window hasn't passed at as_of; else solved where its first session is resolved, and no
--   session of the same caller and intent begins after it and up to the window after its end; else unsolved.
SELECT
    s.bot, w.days,
    CASE
        WHEN c.end_time + w.days * INTERVAL 1 DAY > getvariable('as_of') THEN 'provisional'
        WHEN s.outcome = 'resolved'
            AND (c.next_start_time IS NULL OR c.next_start_time > c.end_time + w.days * INTERVAL 1 DAY) THEN 'solved'
        ELSE 'unsolved'
    END AS state
FROM (VALUES (1), (7), (30)) w (days)
CROSS JOIN contacts c
JOIN calls s ON s.session_id = c.session_id
WHERE NOT s.short
    AND (c.before_end_time IS NULL OR c.before_end_time < c.start_time - w.days * INTERVAL 1 DAY)
