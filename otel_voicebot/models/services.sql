-- services: the external services that a bot uses: providers of speech and language, APIs by their name, and telephone lines.
-- inputs: operations, lines, costs, quota_use
-- grain: one row per (service, component); service: the provider, of an API its name; operations that tell neither are left out.
--   Lines are one service, telephony: an operation is a call, audio_s its length; nobody tells whether a line failed.
-- success_rate: numerator operations that didn't fail, denominator operations. rate_limited: failed with error.type rate_limit.
--   Percentiles interpolate linearly, seconds. cost_usd: of the priced operations; null where none is.
-- quota_share, quota_state: of its quota of which most is used, as in quota_use; null where it has none.
WITH done AS (
    SELECT
        CASE WHEN component = 'api' THEN coalesce(operation, provider) ELSE provider END AS service, component,
        count(*) AS operations, count(CASE WHEN failed THEN 1 END) AS errors,
        count(CASE WHEN error_type = 'rate_limit' THEN 1 END) AS rate_limited,
        quantile_cont(duration_s, 0.5) AS p50_s, quantile_cont(duration_s, 0.95) AS p95_s,
        try_cast(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS BIGINT) AS tokens,
        sum(audio_s) AS audio_s, try_cast(sum(characters) AS BIGINT) AS characters
    FROM operations
    WHERE component IN ('stt', 'llm', 'tts', 'api', 'rag')
    GROUP BY CASE WHEN component = 'api' THEN coalesce(operation, provider) ELSE provider END, component
    UNION ALL
    SELECT component, component, count(*), NULL, NULL, NULL, NULL, NULL, sum(duration_s), NULL FROM lines GROUP BY component
),
paid AS (
    SELECT CASE WHEN component = 'telephony' THEN component ELSE provider END AS service, component, sum(cost_usd)::DOUBLE AS cost_usd
    FROM costs
    GROUP BY CASE WHEN component = 'telephony' THEN component ELSE provider END, component
),
quoted AS (
    SELECT d.service, d.component, max(q.used_share) AS quota_share,
        max(CASE q.state WHEN 'used_up' THEN 3 WHEN 'warning' THEN 2 WHEN 'ok' THEN 1 END) AS worst
    FROM done d
    JOIN quota_use q ON q.service = d.service AND (q.component IS NULL OR q.component = d.component)
    GROUP BY d.service, d.component
)
SELECT d.service, d.component, d.operations, d.errors, (d.operations - d.errors) / d.operations AS success_rate, d.rate_limited,
    d.p50_s, d.p95_s, d.tokens, d.audio_s, d.characters, p.cost_usd,
    q.quota_share, CASE q.worst WHEN 3 THEN 'used_up' WHEN 2 THEN 'warning' WHEN 1 THEN 'ok' END AS quota_state
FROM done d
LEFT JOIN quoted q ON q.service = d.service AND q.component = d.component
LEFT JOIN paid p ON p.service = d.service AND p.component = d.component
WHERE d.service IS NOT NULL
ORDER BY d.operations DESC, d.service, d.component
