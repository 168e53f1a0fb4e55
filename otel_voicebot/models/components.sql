-- components: latency, errors and counts of each service.
-- inputs: operations
-- grain: one row per (component, provider, model). Percentiles interpolate linearly, seconds; broken durations are left out.
-- What prices are times of: heard (STT with a length of audio), spoken and made (TTS with characters, with a length of audio), told
--   (model calls with both numbers of tokens), and their sums.
-- Counts that only one component has (words, lookups, classifications) are 0 for the others.
SELECT
    component, provider, model, operations, errors, mean_s,
    durations[1] AS p50_s, durations[2] AS p95_s, durations[3] AS p99_s, max_s,
    first_chunks,
    first_chunk_times[1] AS first_chunk_p50_s,
    first_chunk_times[2] AS first_chunk_p95_s,
    first_chunk_times[3] AS first_chunk_p99_s,
    input_tokens, output_tokens,
    CASE WHEN component = 'llm' THEN operations - counted ELSE 0 END AS uncounted,
    wer_errors, wer_words,
    CASE WHEN component = 'stt' THEN operations - referenced ELSE 0 END AS unreferenced,
    CASE WHEN component = 'cache' THEN lookups ELSE 0 END AS lookups,
    CASE WHEN component = 'cache' THEN hits ELSE 0 END AS hits,
    CASE WHEN component = 'nlu' THEN confident ELSE 0 END AS confident,
    CASE WHEN component = 'nlu' THEN low_confidence ELSE 0 END AS low_confidence,
    CASE WHEN component = 'nlu' THEN fallbacks ELSE 0 END AS fallbacks,
    CASE WHEN component = 'tts' THEN scored ELSE 0 END AS scored,
    CASE WHEN component = 'stt' THEN sounding ELSE 0 END AS heard,
    CASE WHEN component = 'stt' THEN audio_s END AS heard_s,
    CASE WHEN component = 'tts' THEN written ELSE 0 END AS spoken,
    CASE WHEN component = 'tts' THEN characters END AS characters,
    CASE WHEN component = 'tts' THEN sounding ELSE 0 END AS made,
    CASE WHEN component = 'tts' THEN audio_s END AS made_s,
    CASE WHEN component = 'llm' THEN told ELSE 0 END AS told,
    CASE WHEN component = 'llm' THEN told_input_tokens - cached_tokens END AS fresh_tokens,
    CASE WHEN component = 'llm' THEN cached_tokens END AS cached_tokens,
    CASE WHEN component = 'llm' THEN told_output_tokens END AS told_output_tokens
FROM (
    -- of the component is asked above, once a group: asked of each operation it took half of the time
    SELECT
        component, provider, model,
        count(*) AS operations,
        count(CASE WHEN failed THEN 1 END) AS errors,
        avg(duration_s) AS mean_s,
        quantile_cont(duration_s, [0.5, 0.95, 0.99]) AS durations,  -- three calls would sort three times
        max(duration_s) AS max_s,
        count(time_to_first_chunk_s) AS first_chunks,
        quantile_cont(time_to_first_chunk_s, [0.5, 0.95, 0.99]) AS first_chunk_times,
        try_cast(sum(input_tokens) AS BIGINT) AS input_tokens,
        try_cast(sum(output_tokens) AS BIGINT) AS output_tokens,
        count(coalesce(input_tokens, output_tokens)) AS counted,
        try_cast(sum(CASE WHEN wer_words IS NOT NULL THEN wer_errors END) AS BIGINT) AS wer_errors,
        try_cast(sum(wer_words) AS BIGINT) AS wer_words,
        count(wer_words) AS referenced,
        count(cache_hit) AS lookups,
        count(CASE WHEN cache_hit THEN 1 END) AS hits,
        count(confidence) AS confident,
        count(CASE WHEN confidence < 0.7 THEN 1 END) AS low_confidence,
        count(CASE WHEN intent_fallback THEN 1 END) AS fallbacks,
        count(mos) AS scored,
        count(audio_s) AS sounding,
        sum(audio_s) AS audio_s,
        count(characters) AS written,
        try_cast(sum(characters) AS BIGINT) AS characters,
        count(CASE WHEN output_tokens IS NOT NULL THEN input_tokens END) AS told,
        try_cast(sum(CASE WHEN output_tokens IS NOT NULL THEN input_tokens END) AS BIGINT) AS told_input_tokens,
        try_cast(sum(CASE WHEN output_tokens IS NOT NULL AND input_tokens IS NOT NULL THEN least(coalesce(cached_input_tokens, 0), input_tokens) END) AS BIGINT) AS cached_tokens,
        try_cast(sum(CASE WHEN input_tokens IS NOT NULL THEN output_tokens END) AS BIGINT) AS told_output_tokens
    FROM operations
    GROUP BY component, provider, model
)
ORDER BY component, provider, model
