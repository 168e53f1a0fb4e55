-- load: requests and failures over time.
-- inputs: operations, turns
-- grain: one row per minute (UTC) in which something began.
-- requests: exchanges that began. error_rate_5m: numerator failed operations of the five minutes that end with this one,
--   denominator operations of them; null where there were none.
WITH begun AS (
    SELECT start_unix_nano // 60000000000 AS minute, 0 AS requests, 1 AS operations, CASE WHEN failed THEN 1 ELSE 0 END AS errors
    FROM operations
    UNION ALL
    SELECT start_nano // 60000000000, 1, 0, 0 FROM turns WHERE kind = 'exchange'
),
minutes AS (
    SELECT minute, sum(requests)::BIGINT AS requests, sum(operations)::BIGINT AS operations, sum(errors)::BIGINT AS errors
    FROM begun
    GROUP BY minute
)
SELECT
    make_timestamp(minute * 60000000) AT TIME ZONE 'UTC' AS minute, requests, operations, errors,
    CASE WHEN sum(operations) OVER last_five > 0 THEN sum(errors) OVER last_five / sum(operations) OVER last_five END AS error_rate_5m
FROM minutes
WINDOW last_five AS (ORDER BY minutes.minute RANGE BETWEEN 4 PRECEDING AND CURRENT ROW)
ORDER BY 1
