-- cost_by_model: what each service cost.
-- inputs: costs
-- grain: one row per (component, provider, model); of telephony the model is the channel.
-- operations: things paid for; priced: those with a known price. cost_usd: their sum, null where none has one.
--   cost_per_operation_usd: numerator cost_usd, denominator priced.
SELECT
    component, provider, model, count(*) AS operations, count(cost_usd) AS priced,
    sum(cost_usd)::DOUBLE AS cost_usd,
    CASE WHEN count(cost_usd) > 0 THEN sum(cost_usd)::DOUBLE / count(cost_usd) END AS cost_per_operation_usd,
    count(DISTINCT session_id) AS sessions
FROM costs
GROUP BY component, provider, model
ORDER BY cost_usd DESC NULLS LAST, component, provider, model
