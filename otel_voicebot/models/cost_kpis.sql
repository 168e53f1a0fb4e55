-- cost_kpis: what calls cost.
-- inputs: components, service_prices, split_costs, lines, sessions
-- grain: one row per KPI: cost_usd, cost_per_session_usd, cost_per_resolved_usd, cost_per_talk_minute_usd, priced_share.
-- unit: USD; priced_share 1
-- numerator: the sum of what has a price. denominator: sessions; resolved sessions; minutes of all calls, from their
--   start to their end. priced_share: things with a price / things that are paid for.
-- A service with one price for all its calls is priced by its sums, which are at hand: the same as the sum of the model
--   costs over its operations, which is asked for the others (a price that changed, or that depends on the prompt's length).
-- exclusions: things without a known price or usage: the cost is higher by what they cost. Null where nothing has a price.
WITH used AS (
    SELECT c.*, coalesce(f.split, false) AS split, f.input_usd, f.cached_usd, f.output_usd, f.request_usd, f.second_usd, f.character_usd
    FROM components c
    LEFT JOIN service_prices f
        ON f.component = c.component AND f.provider IS NOT DISTINCT FROM c.provider AND f.model IS NOT DISTINCT FROM c.model
    WHERE c.component IN ('stt', 'llm', 'tts')
),
parts AS (
    SELECT
        operations AS things,
        CASE WHEN component = 'llm' AND input_usd IS NOT NULL THEN told
            WHEN component = 'stt' AND second_usd IS NOT NULL THEN heard
            WHEN component = 'tts' AND character_usd IS NOT NULL THEN spoken
            WHEN component = 'tts' AND second_usd IS NOT NULL THEN made ELSE 0 END AS priced,
        CASE component
            WHEN 'llm' THEN fresh_tokens * input_usd + cached_tokens * cached_usd + told_output_tokens * output_usd + told * request_usd
            WHEN 'stt' THEN heard_s * second_usd
            ELSE coalesce(characters * character_usd, made_s * second_usd)
        END::DECIMAL(38, 12) AS cost_usd
    FROM used
    WHERE NOT split
    UNION ALL
    SELECT things, priced, cost_usd FROM split_costs
    UNION ALL
    SELECT count(*), count(cost_usd), sum(cost_usd) FROM lines
),
paid AS (
    SELECT sum(cost_usd)::DOUBLE AS total, coalesce(sum(priced), 0)::BIGINT AS priced, coalesce(sum(things), 0)::BIGINT AS things
    FROM parts
),
se AS (
    SELECT count(*) AS n, count(CASE WHEN outcome = 'resolved' THEN 1 END) AS resolved, sum(duration_s) / 60 AS minutes
    FROM sessions
)
SELECT position, name, unit, numerator::DOUBLE AS numerator, denominator::DOUBLE AS denominator, excluded, exclusion,
    NULL::BIGINT AS provisional,
    CASE WHEN denominator > 0 THEN numerator / denominator WHEN alone THEN numerator END::DOUBLE AS value
FROM (
    SELECT 301 AS position, 'cost_usd' AS name, 'USD' AS unit, total AS numerator, NULL AS denominator, things - priced AS excluded, 'no price, or no usage' AS exclusion, true AS alone FROM paid
    UNION ALL SELECT 302, 'cost_per_session_usd', 'USD', total, n, things - priced, 'no price, or no usage', false FROM paid, se
    UNION ALL SELECT 303, 'cost_per_resolved_usd', 'USD', total, resolved, things - priced, 'no price, or no usage', false FROM paid, se
    UNION ALL SELECT 304, 'cost_per_talk_minute_usd', 'USD', total, minutes, things - priced, 'no price, or no usage', false FROM paid, se
    UNION ALL SELECT 305, 'priced_share', '1', priced, things, 0, NULL, false FROM paid
)
