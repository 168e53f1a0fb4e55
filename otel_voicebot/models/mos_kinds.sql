-- mos_kinds: mean opinion scores, each kind by itself: a survey's and a model's don't measure the same.
-- inputs: steps, sessions
-- grain: one row per kind. mos: mean of the scores, 1 to 5; sum: their sum.
SELECT coalesce(mos_kind, 'unknown') AS mos_kind, count(*) AS scores, sum(mos) AS sum, avg(mos) AS mos, min(mos) AS worst
FROM steps
WHERE mos IS NOT NULL AND session_id IN (SELECT session_id FROM sessions)
GROUP BY coalesce(mos_kind, 'unknown')
ORDER BY scores DESC, mos_kind
