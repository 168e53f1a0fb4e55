-- kpis: one number each, with what it is a share of.
-- inputs: calls, turns, components, wait_percentiles
-- grain: one row per KPI (name, numerator, denominator, excluded). The value is numerator / denominator, or the numerator alone where
--   there is no denominator; null where nothing was measured. excluded counts rows that were left out, by the definition's own rule.
-- A short session is abandoned before short_session_s; an eligible one is not short and holds no planned handoff.
-- error_rate: failed operations / operations. abandoned_wait_rate: abandoned exchanges / exchanges.
-- wait_km_*: percentiles of the wait from the product-limit curve (waits_km), abandoned waits censored; null where it isn't reached.
-- interruption_rate: interrupted turns / turns with bot speech of which it is known. wer: wrong words / reference words, corpus level.
-- aht_s: duration of handled sessions (at least one answered exchange) / handled sessions.
-- containment: eligible sessions without a handoff to a human and not abandoned or failed / eligible sessions.
-- csat_share: answers of 4 or 5 / answers. nps: (9 or 10) minus (0 to 6) / answers, in points.
WITH se AS (
    SELECT
        count(*) AS n,
        count(CASE WHEN short THEN 1 END) AS short,
        count(CASE WHEN eligible THEN 1 END) AS eligible,
        count(CASE WHEN eligible AND escalated_by IS NOT NULL THEN 1 END) AS escalated,
        count(CASE WHEN contained THEN 1 END) AS contained,
        count(CASE WHEN outcome = 'abandoned' AND NOT short THEN 1 END) AS abandoned,
        count(CASE WHEN answered > 0 THEN 1 END) AS handled,
        sum(CASE WHEN answered > 0 THEN duration_s END) AS handle_s,
        count(csat) AS rated,
        count(CASE WHEN csat >= 4 THEN 1 END) AS satisfied,
        sum(csat) AS csat,
        count(nps) AS nps,
        count(CASE WHEN nps >= 9 THEN 1 END) AS promoters,
        count(CASE WHEN nps <= 6 THEN 1 END) AS detractors
    FROM calls
),
tu AS (
    SELECT
        count(CASE WHEN kind = 'exchange' THEN 1 END) AS exchanges,
        count(CASE WHEN outcome = 'abandoned' THEN 1 END) AS abandoned,
        count(CASE WHEN interrupted IS NOT NULL AND (kind = 'greeting' OR outcome = 'answered') THEN 1 END) AS replies,
        count(CASE WHEN interrupted IS NULL AND (kind = 'greeting' OR outcome = 'answered') THEN 1 END) AS cut_off,
        count(CASE WHEN interrupted AND (kind = 'greeting' OR outcome = 'answered') THEN 1 END) AS interrupted,
        count(response_gap_s) AS gaps,
        count(CASE WHEN outcome = 'answered' AND response_gap_s IS NULL THEN 1 END) AS unmarked,
        quantile_cont(response_gap_s, [0.5, 0.95, 0.99]) AS lengths  -- three calls would sort three times
    FROM turns
),
km AS (
    SELECT waits, km_p50, km_p95, km_p99 FROM wait_percentiles
),
op AS (
    SELECT
        coalesce(sum(operations), 0) AS n,
        coalesce(sum(errors), 0) AS failed,
        sum(wer_errors) AS wer_errors,
        sum(wer_words) AS wer_words,
        coalesce(sum(unreferenced), 0) AS unreferenced,
        coalesce(sum(lookups), 0) AS lookups,
        coalesce(sum(hits), 0) AS hits,
        sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens,
        coalesce(sum(uncounted), 0) AS uncounted,
        coalesce(sum(CASE WHEN component = 'nlu' THEN operations END), 0) AS classified,
        coalesce(sum(confident), 0) AS confident,
        coalesce(sum(low_confidence), 0) AS low_confidence,
        coalesce(sum(fallbacks), 0) AS fallbacks
    FROM components
)
SELECT position, name, unit, numerator::DOUBLE AS numerator, denominator::DOUBLE AS denominator, excluded::BIGINT AS excluded,
    exclusion,
    CASE WHEN is_share THEN CASE WHEN denominator > 0 THEN factor * numerator / denominator END ELSE numerator END::DOUBLE AS value
FROM (
    SELECT 1 AS position, 'sessions' AS name, '{session}' AS unit, n AS numerator, NULL AS denominator, 0 AS excluded, NULL AS exclusion, false AS is_share, 1.0 AS factor FROM se
    UNION ALL SELECT 2, 'turns', '{turn}', exchanges, NULL, 0, NULL, false, 1 FROM tu
    UNION ALL SELECT 3, 'response_gap_p50_s', 's', lengths[1], gaps, abandoned + unmarked, 'no answer, or no speech marks', false, 1 FROM tu
    UNION ALL SELECT 4, 'response_gap_p95_s', 's', lengths[2], gaps, abandoned + unmarked, 'no answer, or no speech marks', false, 1 FROM tu
    UNION ALL SELECT 5, 'response_gap_p99_s', 's', lengths[3], gaps, abandoned + unmarked, 'no answer, or no speech marks', false, 1 FROM tu
    UNION ALL SELECT 6, 'wait_km_p50_s', 's', km_p50, waits, exchanges - waits, 'no speech marks', false, 1 FROM km, tu
    UNION ALL SELECT 7, 'wait_km_p95_s', 's', km_p95, waits, exchanges - waits, 'no speech marks', false, 1 FROM km, tu
    UNION ALL SELECT 8, 'wait_km_p99_s', 's', km_p99, waits, exchanges - waits, 'no speech marks', false, 1 FROM km, tu
    UNION ALL SELECT 9, 'abandoned_wait_rate', '1', abandoned, exchanges, 0, NULL, true, 1 FROM tu
    UNION ALL SELECT 10, 'interruption_rate', '1', interrupted, replies, cut_off, 'unknown', true, 1 FROM tu
    UNION ALL SELECT 11, 'error_rate', '1', failed, n, 0, NULL, true, 1 FROM op
    UNION ALL SELECT 12, 'wer', '1', wer_errors, wer_words, unreferenced, 'no reference', true, 1 FROM op
    UNION ALL SELECT 13, 'aht_s', 's', handle_s, handled, n - handled, 'no answered exchange', true, 1 FROM se
    UNION ALL SELECT 14, 'containment', '1', contained, eligible, n - eligible, 'short, or planned handoff', true, 1 FROM se
    UNION ALL SELECT 15, 'escalation_rate', '1', escalated, eligible, n - eligible, 'short, or planned handoff', true, 1 FROM se
    UNION ALL SELECT 16, 'abandonment_rate', '1', abandoned, n - short, short, 'short', true, 1 FROM se
    UNION ALL SELECT 17, 'csat_share', '1', satisfied, rated, n - rated, 'no answer', true, 1 FROM se
    UNION ALL SELECT 18, 'csat_mean', '1', csat, rated, n - rated, 'no answer', true, 1 FROM se
    UNION ALL SELECT 19, 'nps', '{point}', promoters - detractors, nps, n - nps, 'no answer', true, 100 FROM se
    UNION ALL SELECT 20, 'cache_hit_rate', '1', hits, lookups, 0, NULL, true, 1 FROM op
    UNION ALL SELECT 21, 'input_tokens', '{token}', input_tokens, NULL, uncounted, 'no token count', false, 1 FROM op
    UNION ALL SELECT 22, 'output_tokens', '{token}', output_tokens, NULL, uncounted, 'no token count', false, 1 FROM op
    UNION ALL SELECT 23, 'low_confidence_rate', '1', low_confidence, confident, classified - confident, 'no confidence', true, 1 FROM op
    UNION ALL SELECT 24, 'fallback_rate', '1', fallbacks, classified, 0, NULL, true, 1 FROM op
)
ORDER BY position
