-- wait_percentiles: where the curve of waits_km falls to a half, a twentieth and a hundredth.
-- inputs: turns
-- grain: one row. waits: those with a known length. km_p50, km_p95, km_p99: the smallest wait_s of waits_km with
--   waiting <= 1 - p, seconds; null where there is none.
-- The curve needn't be drawn for that. Between two waits that were given up its product is the share of those that are left,
--   so of all other waits only their order counts. lift: how far the curve lies above that share from a place on: the product,
--   over the waits given up so far, of left / (left - 1); left: the waits at least that long.
WITH ended AS (
    SELECT wait_s, given_up, row_number() OVER (ORDER BY wait_s, given_up) AS place
    FROM (
        -- what ends by an answer and what is given up at the same moment: the answer came first
        SELECT coalesce(response_gap_s, wait_s) AS wait_s, CASE WHEN response_gap_s IS NULL THEN 1 ELSE 0 END AS given_up
        FROM turns
        WHERE kind = 'exchange' AND coalesce(response_gap_s, wait_s) IS NOT NULL
    )
),
total AS (
    SELECT count(*) AS waits FROM ended
),
lifts AS (
    SELECT 0 AS place, 1::DOUBLE AS lift
    UNION ALL
    -- after the last of all there is nothing
    SELECT place, CASE WHEN place < waits
        THEN exp(sum(CASE WHEN place < waits THEN ln((waits - place + 1)::DOUBLE / (waits - place)) END) OVER (ORDER BY place)) END
    FROM ended CROSS JOIN total
    WHERE given_up = 1
),
stretches AS (
    SELECT place, lift, lead(place) OVER (ORDER BY place) AS until_place FROM lifts
),
reached AS (
    SELECT percent, min(first_place) AS place
    FROM (
        -- of each stretch the first place with (waits - place) / waits * lift <= share; the product is rounded: it may miss a
        -- share that it meets by that much
        SELECT p.percent, s.until_place, t.waits,
            greatest(ceil(t.waits * (1 - (p.share + 1e-9) / s.lift))::BIGINT, s.place + 1) AS first_place
        FROM stretches s
        CROSS JOIN total t
        CROSS JOIN (VALUES (50, 0.5), (95, 0.05), (99, 0.01)) p (percent, share)
        WHERE s.lift IS NOT NULL
    )
    WHERE first_place < coalesce(until_place, waits + 1)
    GROUP BY percent
),
lengths AS (
    SELECT
        min(CASE WHEN r.percent = 50 THEN e.wait_s END) AS km_p50,
        min(CASE WHEN r.percent = 95 THEN e.wait_s END) AS km_p95,
        min(CASE WHEN r.percent = 99 THEN e.wait_s END) AS km_p99
    FROM reached r
    JOIN ended e ON e.place = r.place
)
SELECT t.waits, l.km_p50, l.km_p95, l.km_p99
FROM total t
CROSS JOIN lengths l
