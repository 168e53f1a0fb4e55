-- fcr: first call resolution: the share of issues that one call solved.
-- inputs: contacts, calls, issues
-- grain: one row per KPI: fcr_1d, fcr_7d, fcr_30d.
-- unit: 1
-- numerator: issues (see there) that their first session solved.
-- denominator: issues whose window has passed at as_of.
-- provisional: issues whose window hasn't; they are in neither.
-- exclusions: sessions that are short, or whose caller or intent isn't known.
WITH counted AS (
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
