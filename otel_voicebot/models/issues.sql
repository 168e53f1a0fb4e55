-- issues: the calls with which something that a caller wanted began, and whether that one call was enough.
-- inputs: contacts, calls
-- grain: one row per window (days: 1, 7, 30) and session that starts an issue in it.
-- An issue starts with a session of a known caller and intent, not a short one, with no session of the same caller and
--   intent that ended in the window before its start (or is still going on then).
-- bot: of that session.
-- solved: the session is resolved, and no session of the same caller and intent begins after it and up to the window
--   after its end. passed: the window is over at as_of; before that the issue is provisional.
SELECT
    w.days,
    c.session_id,
    s.bot,
    epoch_us(c.end_time) + w.us <= epoch_us(getvariable('as_of')) AS passed,
    s.outcome = 'resolved'
        AND (c.next_start_time IS NULL OR epoch_us(c.next_start_time) > epoch_us(c.end_time) + w.us) AS solved
-- whole numbers: to add days to a time takes longer than all the rest
FROM (SELECT days, days * 86400000000 AS us FROM (VALUES (1), (7), (30)) d (days)) w
CROSS JOIN contacts c
JOIN calls s ON s.session_id = c.session_id
WHERE NOT s.short
    AND (c.before_end_time IS NULL OR epoch_us(c.before_end_time) < epoch_us(c.start_time) - w.us)
