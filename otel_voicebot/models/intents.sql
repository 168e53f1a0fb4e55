-- intents: what callers wanted, and how sure the bot was.
-- inputs: operations
-- grain: one row per intent; null where none was named.
-- share: numerator classifications of the intent, denominator all. low_confidence: below 0.7, of those with a confidence.
SELECT
    intent, count(*) AS classifications, count(*) / sum(count(*)) OVER () AS share,
    count(DISTINCT session_id) AS sessions,
    count(confidence) AS confident, avg(confidence) AS mean_confidence,
    count(CASE WHEN confidence < 0.7 THEN 1 END) AS low_confidence,
    CASE WHEN count(confidence) > 0 THEN count(CASE WHEN confidence < 0.7 THEN 1 END) / count(confidence) END AS low_confidence_rate,
    count(CASE WHEN intent_fallback THEN 1 END) AS fallbacks
FROM operations
WHERE component = 'nlu'
GROUP BY intent
ORDER BY classifications DESC, intent
