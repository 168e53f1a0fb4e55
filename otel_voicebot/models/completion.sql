-- completion: workflows brought to their end.
-- inputs: workflows
-- grain: one row: completion_rate.
-- unit: 1
-- numerator: workflows completed. denominator: workflows started. exclusions: none.
SELECT
    162 AS position, 'completion_rate' AS name, '1' AS unit,
    coalesce(sum(completed), 0)::DOUBLE AS numerator, coalesce(sum(started), 0)::DOUBLE AS denominator,
    0::BIGINT AS excluded, NULL::VARCHAR AS exclusion, NULL::BIGINT AS provisional,
    CASE WHEN sum(started) > 0 THEN sum(completed) / sum(started) END::DOUBLE AS value
FROM workflows
