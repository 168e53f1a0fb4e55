-- agent_costs: what each agent, and each type of decision, cost in all.
-- inputs: operations, costs
-- grain: one row per (kind, name); kind: agent or decision. The model agents has both together.
-- error_rate: numerator errors, denominator operations. cost_usd: of the priced operations. cost_per_success_usd: numerator cost_usd,
--   denominator priced operations that didn't fail: what has no price would look free. efficiency_rank, within the
--   kind: 1 is the cheapest by that, of equal ones the quicker; null where nothing has a price.
WITH done AS (
    SELECT 'agent' AS kind, agent AS name, session_id, failed, input_tokens, output_tokens, duration_s
    FROM operations
    WHERE agent IS NOT NULL
    UNION ALL
    SELECT 'decision', decision, session_id, failed, input_tokens, output_tokens, duration_s
    FROM operations
    WHERE decision IS NOT NULL
),
counted AS (
    SELECT kind, name, count(*) AS operations, count(CASE WHEN failed THEN 1 END) AS errors, count(DISTINCT session_id) AS sessions,
        try_cast(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS BIGINT) AS tokens,
        avg(duration_s) AS mean_s, quantile_cont(duration_s, 0.95) AS p95_s
    FROM done
    GROUP BY kind, name
),
paid AS (
    SELECT 'agent' AS kind, agent AS name, sum(cost_usd)::DOUBLE AS cost_usd, count(cost_usd) AS priced,
        count(CASE WHEN NOT failed THEN cost_usd END) AS succeeded
    FROM costs
    WHERE agent IS NOT NULL
    GROUP BY agent
    UNION ALL
    SELECT 'decision', decision, sum(cost_usd)::DOUBLE, count(cost_usd), count(CASE WHEN NOT failed THEN cost_usd END)
    FROM costs
    WHERE decision IS NOT NULL
    GROUP BY decision
),
rated AS (
    SELECT n.*, p.cost_usd, coalesce(p.priced, 0) AS priced,
        CASE WHEN p.succeeded > 0 THEN p.cost_usd / p.succeeded END AS cost_per_success_usd
    FROM counted n
    LEFT JOIN paid p ON p.kind = n.kind AND p.name = n.name
)
SELECT
    kind, name, operations, errors, errors / operations AS error_rate, sessions, tokens, mean_s, p95_s, priced, cost_usd,
    cost_per_success_usd,
    CASE WHEN cost_per_success_usd IS NOT NULL
        THEN rank() OVER (PARTITION BY kind ORDER BY cost_per_success_usd NULLS LAST, mean_s NULLS LAST) END AS efficiency_rank
FROM rated
ORDER BY kind, efficiency_rank NULLS LAST, name
