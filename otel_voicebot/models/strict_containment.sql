-- strict_containment: calls that the bot kept, and whose callers didn't come back for the same thing within a day.
-- inputs: contacts, calls
-- grain: one row: strict_containment_24h.
-- unit: 1
-- numerator: contained sessions without a session of the same caller and intent that begins after them and up to 24 h
--   after their end.
-- denominator: eligible sessions of a known caller and intent whose 24 h have passed at as_of.
-- provisional: those whose 24 h haven't.
-- exclusions: sessions that are short or hold a planned handoff, or whose caller or intent isn't known.
WITH judged AS (
    SELECT
        c.session_id IS NOT NULL AND s.eligible AS asked,
        -- a day in whole numbers: to add one to a time takes longer than all the rest
        epoch_us(c.end_time) + 86400000000 <= epoch_us(getvariable('as_of')) AS passed,
        s.contained AND (c.next_start_time IS NULL OR epoch_us(c.next_start_time) > epoch_us(c.end_time) + 86400000000) AS held
    FROM calls s
    LEFT JOIN contacts c ON c.session_id = s.session_id
),
counted AS (
    SELECT
        count(CASE WHEN asked AND passed AND held THEN 1 END) AS numerator,
        count(CASE WHEN asked AND passed THEN 1 END) AS denominator,
        count(CASE WHEN asked AND NOT passed THEN 1 END) AS provisional,
        count(CASE WHEN NOT asked THEN 1 END) AS excluded
    FROM judged
)
SELECT
    141 AS position, 'strict_containment_24h' AS name, '1' AS unit,
    numerator::DOUBLE AS numerator, denominator::DOUBLE AS denominator, excluded,
    'short, planned handoff, or caller or intent unknown' AS exclusion, provisional,
    CASE WHEN denominator > 0 THEN numerator / denominator END AS value
FROM counted
