-- components: latency, errors and counts of each service.
-- inputs: operations
-- grain: one row per (component, provider, model). Percentiles interpolate linearly, seconds; broken durations are left out.
-- Counts that only one component has (words, lookups, classifications) are 0 for the others.
SELECT
    component, provider, model,
    count(*) AS operations,
    count(CASE WHEN failed THEN 1 END) AS errors,
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
    sum(output_tokens) AS output_tokens,
    count(CASE WHEN component = 'llm' AND input_tokens IS NULL AND output_tokens IS NULL THEN 1 END) AS uncounted,
    sum(CASE WHEN wer_words IS NOT NULL THEN wer_errors END) AS wer_errors,
    sum(wer_words) AS wer_words,
    count(CASE WHEN component = 'stt' AND wer_words IS NULL THEN 1 END) AS unreferenced,
    count(CASE WHEN component = 'cache' THEN cache_hit END) AS lookups,
    count(CASE WHEN component = 'cache' AND cache_hit THEN 1 END) AS hits,
    count(CASE WHEN component = 'nlu' THEN confidence END) AS confident,
    count(CASE WHEN component = 'nlu' AND confidence < 0.7 THEN 1 END) AS low_confidence,
    count(CASE WHEN component = 'nlu' AND intent_fallback THEN 1 END) AS fallbacks
FROM operations
GROUP BY component, provider, model
ORDER BY component, provider, model
