-- components: latency and errors of each service.
-- inputs: operations
-- grain: one row per (component, provider, model). Percentiles interpolate linearly, seconds; broken durations are left out.
SELECT
    component, provider, model,
    count(*) AS operations,
    count(*) FILTER (WHERE failed) AS errors,
    avg(duration_s) AS mean_s,
    quantile_cont(duration_s, 0.5) AS p50_s,
    quantile_cont(duration_s, 0.95) AS p95_s,
    quantile_cont(duration_s, 0.99) AS p99_s,
    max(duration_s) AS max_s,
    count(time_to_first_chunk_s) AS first_chunks,
    quantile_cont(time_to_first_chunk_s, 0.5) AS first_chunk_p50_s,
    quantile_cont(time_to_first_chunk_s, 0.95) AS first_chunk_p95_s,
    quantile_cont(time_to_first_chunk_s, 0.99) AS first_chunk_p99_s,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens
FROM operations
GROUP BY component, provider, model
ORDER BY component, provider, model
