-- cost_by_session: what each call cost.
-- inputs: costs, sessions
-- grain: one row per session. cost_usd: the sum of what has a price, null where nothing has. priced_share: numerator
--   priced, denominator things that are paid for.
SELECT
    s.session_id, s.start_time, s.outcome, s.duration_s, s.turns,
    sum(c.cost_usd)::DOUBLE AS cost_usd,
    count(c.cost_usd) AS priced,
    count(c.component) AS operations,
    CASE WHEN count(c.component) > 0 THEN count(c.cost_usd) / count(c.component) END AS priced_share
FROM sessions s
LEFT JOIN costs c ON c.session_id = s.session_id
GROUP BY s.session_id, s.start_time, s.outcome, s.duration_s, s.turns
ORDER BY cost_usd DESC NULLS LAST, s.session_id
