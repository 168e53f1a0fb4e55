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
    input_tokens, output_tokens, uncounted, wer_errors, wer_words, unreferenced, lookups, hits,
    confident, low_confidence, fallbacks, scored,
    heard, heard_s, spoken, characters, made, made_s, told, fresh_tokens, cached_tokens, told_output_tokens
FROM (
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
        count(CASE WHEN component = 'llm' AND input_tokens IS NULL AND output_tokens IS NULL THEN 1 END) AS uncounted,
        try_cast(sum(CASE WHEN wer_words IS NOT NULL THEN wer_errors END) AS BIGINT) AS wer_errors,
        try_cast(sum(wer_words) AS BIGINT) AS wer_words,
        count(CASE WHEN component = 'stt' AND wer_words IS NULL THEN 1 END) AS unreferenced,
        count(CASE WHEN component = 'cache' THEN cache_hit END) AS lookups,
        count(CASE WHEN component = 'cache' AND cache_hit THEN 1 END) AS hits,
        count(CASE WHEN component = 'nlu' THEN confidence END) AS confident,
        count(CASE WHEN component = 'nlu' AND confidence < 0.7 THEN 1 END) AS low_confidence,
        count(CASE WHEN component = 'nlu' AND intent_fallback THEN 1 END) AS fallbacks,
        count(CASE WHEN component = 'tts' THEN mos END) AS scored,
        count(CASE WHEN component = 'stt' THEN audio_s END) AS heard,
        sum(CASE WHEN component = 'stt' THEN audio_s END) AS heard_s,
        count(CASE WHEN component = 'tts' THEN characters END) AS spoken,
        try_cast(sum(CASE WHEN component = 'tts' THEN characters END) AS BIGINT) AS characters,
        count(CASE WHEN component = 'tts' THEN audio_s END) AS made,
        sum(CASE WHEN component = 'tts' THEN audio_s END) AS made_s,
        count(CASE WHEN component = 'llm' AND output_tokens IS NOT NULL THEN input_tokens END) AS told,
        try_cast(sum(CASE WHEN component = 'llm' AND output_tokens IS NOT NULL AND input_tokens IS NOT NULL THEN greatest(input_tokens - coalesce(cached_input_tokens, 0), 0) END) AS BIGINT) AS fresh_tokens,
        try_cast(sum(CASE WHEN component = 'llm' AND output_tokens IS NOT NULL AND input_tokens IS NOT NULL THEN least(coalesce(cached_input_tokens, 0), input_tokens) END) AS BIGINT) AS cached_tokens,
        try_cast(sum(CASE WHEN component = 'llm' AND input_tokens IS NOT NULL THEN output_tokens END) AS BIGINT) AS told_output_tokens
    FROM operations
    GROUP BY component, provider, model
)
ORDER BY component, provider, model
