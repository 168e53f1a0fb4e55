-- fcr: first call resolution: the share of issues that one call solved.
-- inputs: contacts, calls
-- grain: one row per KPI: fcr_1d, fcr_7d, fcr_30d.
-- unit: 1
-- An issue starts with a session of a known caller and intent, not a short one, with no session of the same caller and
--   intent that ended in the window before its start (or is still going on then).
-- numerator: issues whose first session is resolved, and no session of the same caller and intent begins after it and
--   up to the window after its end.
-- denominator: issues whose window has passed at as_of.
-- provisional: issues whose window hasn't; they are in neither.
-- exclusions: sessions that are short, or whose caller or intent isn't known.
WITH issues AS (
    SELECT
        w.days,
        c.end_time + w.days * INTERVAL 1 DAY <= getvariable('as_of') AS passed,
        s.outcome = 'resolved'
            AND (c.next_start_time IS NULL OR c.next_start_time > c.end_time + w.days * INTERVAL 1 DAY) AS solved
    FROM (VALUES (1), (7), (30)) w (days)
    CROSS JOIN contacts c
    JOIN calls s ON s.session_id = c.session_id
    WHERE NOT s.short
        AND (c.before_end_time IS NULL OR c.before_end_time < c.start_time - w.days * INTERVAL 1 DAY)
),
counted AS (
    SELECT
        w.days,
        count(CASE WHEN i.passed AND i.solved THEN 1 END) AS numerator,
        count(CASE WHEN i.passed THEN 1 END) AS denominator,
        count(CASE WHEN NOT i.passed THEN 1 END) AS provisional
    FROM (VALUES (1), (7), (30)) w (days)
    LEFT JOIN issues i ON i.days = w.days
    GROUP BY w.days
),
out AS (
    SELECT count(*) AS excluded
    FROM calls s
    WHERE s.short OR NOT EXISTS (SELECT 1 FROM contacts c WHERE c.session_id = s.session_id)
)
SELECT
    130 + CASE days WHEN 1 THEN 1 WHEN 7 THEN 2 ELSE 3 END AS position, 'fcr_' || days || 'd' AS name, '1' AS unit,
    numerator::DOUBLE AS numerator, denominator::DOUBLE AS denominator, excluded,
    'short, or caller or intent unknown' AS exclusion, provisional,
    CASE WHEN denominator > 0 THEN numerator / denominator END AS value
FROM counted CROSS JOIN out
