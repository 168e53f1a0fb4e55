-- waits_km: which share of the callers would still wait after so long: Kaplan and Meier's product-limit estimate.
-- inputs: turns
-- grain: one row per length of a wait, seconds, ascending. at_risk: waits at least that long; answered: those that ended
--   by an answer just then; abandoned: those given up just then, of which the answer is only known to come later.
-- waiting: the product over all lengths up to this one of (1 - answered / at_risk). What ends by an answer and what is
--   given up at the same moment: the answer came first. An exchange without a known wait is left out; a wait with the
--   quality lower_bound counts with what is known of it.
-- The percentile p of the wait is the smallest wait_s with waiting <= 1 - p; where there is none it is not reached.
-- Assumption: when callers give up doesn't depend on how long their answer would have taken.
WITH lengths AS (
    SELECT coalesce(response_gap_s, wait_s) AS wait_s, count(*) AS waits, count(response_gap_s) AS answered
    FROM turns
    WHERE kind = 'exchange' AND coalesce(response_gap_s, wait_s) IS NOT NULL
    GROUP BY coalesce(response_gap_s, wait_s)
),
risks AS (
    SELECT *, sum(waits) OVER (ORDER BY wait_s DESC) AS at_risk
    FROM lengths
)
SELECT
    wait_s, at_risk::BIGINT AS at_risk, answered, waits - answered AS abandoned,
    -- SQL has no product; where all that are left are answered (the last row) the logarithm has no value
    CASE WHEN answered < at_risk
        THEN exp(sum(CASE WHEN answered < at_risk THEN ln((at_risk - answered) / at_risk) END) OVER (ORDER BY wait_s))
        ELSE 0 END AS waiting
FROM risks
ORDER BY wait_s
