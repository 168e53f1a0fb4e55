-- anomaly_bins: each series over time, in sums from which its mean and the spread between calls follow.
-- inputs: observations
-- grain: one row per (series, minutes, bin) with an observation; bin: whole bins of 5, 10, 15, 30 or 60 minutes since 1970 (UTC).
-- x: of error_rate the value, of all others its natural logarithm (times below 1 ms count as 1 ms). calls: sessions of the bin.
-- With n observations and a sum s of x in each call: total = sum of s, squares of s x s, products of s x n, sizes of n x n.
WITH scored AS (
    SELECT measure, bot, component, provider, model, agent, decision, session_id, start_nano // 300000000000 AS five,
        CASE
            WHEN measure = 'error_rate' THEN value
            WHEN measure IN ('cost_usd', 'agent_cost_usd', 'session_cost_usd') THEN ln(value)
            ELSE ln(greatest(value, 0.001))
        END AS x
    FROM observations
),
fives AS (
    SELECT measure, bot, component, provider, model, agent, decision, session_id, five, count(*) AS n, sum(x) AS s
    FROM scored
    GROUP BY measure, bot, component, provider, model, agent, decision, session_id, five
),
per_call AS (
    SELECT measure, bot, component, provider, model, agent, decision, w.minutes, f.five // (w.minutes // 5) AS bin, session_id,
        sum(n)::DOUBLE AS n, sum(s) AS s
    FROM fives f
    CROSS JOIN (VALUES (5), (10), (15), (30), (60)) w (minutes)
    GROUP BY measure, bot, component, provider, model, agent, decision, w.minutes, f.five // (w.minutes // 5), session_id
)
SELECT measure, bot, component, provider, model, agent, decision, minutes, bin,
    count(*) AS calls, sum(n) AS observations, sum(s) AS total, sum(s * s) AS squares, sum(s * n) AS products, sum(n * n) AS sizes
FROM per_call
GROUP BY measure, bot, component, provider, model, agent, decision, minutes, bin
ORDER BY measure, bot, component, provider, model, agent, decision, minutes, bin
