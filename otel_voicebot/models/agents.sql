-- agents: what agents and their decisions cost and how well they do.
-- inputs: operations, costs
-- grain: one row per (agent, decision); operations that name neither are left out.
-- cost_usd: of the priced operations. error_rate: numerator errors, denominator operations. tokens: input and output.
-- cost_per_success_usd: numerator cost_usd, denominator priced operations that didn't fail: what has no price would look free.
--   efficiency_rank: 1 is the cheapest by that, of equal ones the quicker; null where nothing has a price.
WITH done AS (
    SELECT
        agent, decision, count(*) AS operations, count(CASE WHEN failed THEN 1 END) AS errors,
        try_cast(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS BIGINT) AS tokens,
        avg(duration_s) AS mean_s, count(DISTINCT session_id) AS sessions
    FROM operations
    WHERE agent IS NOT NULL OR decision IS NOT NULL
    GROUP BY agent, decision
),
paid AS (
    SELECT agent, decision, sum(cost_usd)::DOUBLE AS cost_usd, count(cost_usd) AS priced,
        count(CASE WHEN NOT failed THEN cost_usd END) AS succeeded
    FROM costs
    WHERE agent IS NOT NULL OR decision IS NOT NULL
    GROUP BY agent, decision
),
rated AS (
    SELECT d.*, p.cost_usd, coalesce(p.priced, 0) AS priced,
        CASE WHEN p.succeeded > 0 THEN p.cost_usd / p.succeeded END AS cost_per_success_usd
    FROM done d
    LEFT JOIN paid p ON p.agent IS NOT DISTINCT FROM d.agent AND p.decision IS NOT DISTINCT FROM d.decision
)
SELECT
    agent, decision, operations, errors, errors / operations AS error_rate, sessions, tokens, mean_s,
    priced, cost_usd, cost_per_success_usd,
    CASE WHEN cost_per_success_usd IS NOT NULL
        THEN rank() OVER (ORDER BY cost_per_success_usd NULLS LAST, mean_s NULLS LAST) END AS efficiency_rank
FROM rated
ORDER BY efficiency_rank NULLS LAST, agent, decision
