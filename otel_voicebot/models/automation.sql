-- automation: what the bot saved its people, who was served, and who answered surveys.
-- inputs: calls
-- grain: one row per KPI: automation_rate, session_success_rate, csat_response_rate, nps_response_rate, cost_savings_usd.
-- automation_rate: sessions not escalated / all sessions. Unlike containment it counts short, abandoned and failed ones.
-- session_success_rate: resolved sessions / sessions that aren't short and whose outcome is known.
-- csat_response_rate, nps_response_rate: sessions with an answer / sessions.
-- cost_savings_usd: sessions not escalated x human_interaction_usd, USD; what the bot itself cost isn't taken off.
-- exclusions: named with each.
WITH counted AS (
    SELECT
        count(*) AS n,
        count(CASE WHEN NOT escalated THEN 1 END) AS automated,
        count(CASE WHEN outcome = 'resolved' THEN 1 END) AS resolved,
        count(CASE WHEN NOT short AND outcome <> 'unknown' THEN 1 END) AS judged,
        count(csat) AS rated,
        count(nps) AS told
    FROM calls
)
SELECT position, name, unit, numerator::DOUBLE AS numerator, denominator::DOUBLE AS denominator, excluded, exclusion,
    NULL::BIGINT AS provisional,
    CASE WHEN denominator > 0 THEN numerator / denominator WHEN denominator IS NULL THEN numerator END::DOUBLE AS value
FROM (
    SELECT 142 AS position, 'automation_rate' AS name, '1' AS unit, automated AS numerator, n AS denominator, 0 AS excluded, NULL AS exclusion FROM counted
    UNION ALL SELECT 161, 'session_success_rate', '1', resolved, judged, n - judged, 'short, or outcome unknown' FROM counted
    UNION ALL SELECT 181, 'csat_response_rate', '1', rated, n, 0, NULL FROM counted
    UNION ALL SELECT 191, 'nps_response_rate', '1', told, n, 0, NULL FROM counted
    UNION ALL SELECT 401, 'cost_savings_usd', 'USD', CASE WHEN n > 0 THEN automated * getvariable('human_interaction_usd') END, NULL, 0, NULL FROM counted
)
