-- mos: the mean opinion score, where all scores are of one kind.
-- inputs: mos_kinds, components
-- grain: one row: mos.
-- unit: 1 (a score from 1 to 5)
-- numerator: sum of the scores. denominator: scores. Both null, with the value, where there are several kinds: they are
--   never mixed; the model mos_kinds has each.
-- exclusions: TTS operations without a score.
WITH scored AS (
    SELECT count(*) AS kinds, sum(scores)::BIGINT AS scores, sum(sum) AS total FROM mos_kinds
),
silent AS (
    SELECT coalesce(sum(operations - scored), 0)::BIGINT AS unscored FROM components WHERE component = 'tts'
)
SELECT
    121 AS position, 'mos' AS name, '1' AS unit,
    CASE WHEN kinds <= 1 THEN total END::DOUBLE AS numerator,
    CASE WHEN kinds <= 1 THEN coalesce(scores, 0) END::DOUBLE AS denominator,
    unscored AS excluded, 'no score' AS exclusion, NULL::BIGINT AS provisional,
    CASE WHEN kinds = 1 THEN total / scores END AS value
FROM scored CROSS JOIN silent
