-- operations: what the bot's parts did, each once.
-- inputs: steps
-- grain: one row per STT, LLM, TTS, NLU, RAG, tool, cache or API operation; of nested spans of one component the outermost.
-- units: seconds; a duration is null where the span's times are broken.
SELECT
    session_id, turn_index, lower(hex(trace_id)) AS trace_id, lower(hex(span_id)) AS span_id, component, bot, channel, variant, environment,
    provider, model, operation, agent, decision, adapter, intent,
    start_unix_nano, start_time,
    duration_ns / 1e9 AS duration_s,
    time_to_first_chunk_s,
    failed,
    CASE WHEN failed THEN error_type END AS error_type,
    input_tokens, output_tokens, cached_input_tokens, audio_s, characters,
    confidence, intent_fallback, cache_name, cache_level, cache_hit,
    wer_errors, wer_words, mos, mos_kind
FROM steps
WHERE operates
