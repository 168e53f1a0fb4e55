-- parts: what the spans of a turn say, put together.
-- inputs: steps
-- grain: one row per (session_id, turn_index). A sum beyond 64 bits is null: what a sender made up must not stop the query.
SELECT
    session_id, turn_index,
    min(trace_id) AS trace_id,
    min(CASE WHEN component = 'turn' THEN span_id END) AS turn_span_id,
    max(bot) AS bot, max(channel) AS channel, max(variant) AS variant, max(environment) AS environment,
    max(dialect) AS dialect,
    max(session_source) AS session_source,
    coalesce(min(CASE WHEN component = 'turn' THEN start_unix_nano END), min(start_unix_nano)) AS start_nano,
    coalesce(max(CASE WHEN component = 'turn' THEN end_unix_nano END), max(end_unix_nano)) AS end_nano,
    max(CASE WHEN component = 'turn' THEN coalesce(service_instance, service_name) END) AS process,
    max(endpointing_setting_s) AS endpointing_setting_s,
    min(CASE WHEN component = 'turn' THEN user_speech_end_unix_nano END) AS t0,
    min(CASE WHEN component = 'turn' THEN bot_speech_start_unix_nano END) AS t1,
    coalesce(bool_or(CASE WHEN component = 'turn' THEN interrupted END), false) AS interrupted,
    min(CASE WHEN component = 'turn' THEN reported_gap_s END) AS reported_gap_s,
    max(CASE WHEN component = 'turn' THEN end_reason END) AS end_reason,
    max(CASE WHEN component = 'turn' THEN user_text END) AS user_text,
    max(CASE WHEN component = 'turn' THEN bot_text END) AS bot_text,
    coalesce(
        sum(CASE WHEN component = 'stt' AND operates THEN user_words END), max(CASE WHEN component = 'turn' THEN user_words END)
    ) AS user_words,
    coalesce(
        sum(CASE WHEN component = 'tts' AND operates THEN bot_words END), max(CASE WHEN component = 'turn' THEN bot_words END)
    ) AS bot_words,
    sum(CASE WHEN component = 'endpointing' THEN duration_ns END) AS endpointing_ns,
    count(CASE WHEN component = 'endpointing' THEN 1 END) AS endpointings,
    count(CASE WHEN component = 'endpointing' AND outcome IN ('resumed', 'dropped') THEN 1 END) AS not_committed,
    sum(CASE WHEN component = 'stt' AND operates THEN duration_ns END) AS stt_ns,
    sum(CASE WHEN component = 'llm' AND operates THEN duration_ns END) AS llm_ns,
    sum(CASE WHEN component = 'tts' AND operates THEN duration_ns END) AS tts_ns,
    arg_min(CASE WHEN component = 'llm' AND operates AND time_to_first_chunk_s IS NOT NULL THEN time_to_first_chunk_s END, CASE WHEN component = 'llm' AND operates AND time_to_first_chunk_s IS NOT NULL THEN start_unix_nano END) AS llm_first_token_s,
    arg_min(CASE WHEN component = 'tts' AND operates AND time_to_first_chunk_s IS NOT NULL THEN time_to_first_chunk_s END, CASE WHEN component = 'tts' AND operates AND time_to_first_chunk_s IS NOT NULL THEN start_unix_nano END) AS tts_first_audio_s,
    arg_max(CASE WHEN component = 'stt' AND operates AND provider IS NOT NULL THEN provider END, CASE WHEN component = 'stt' AND operates AND provider IS NOT NULL THEN start_unix_nano END) AS stt_provider,
    arg_max(CASE WHEN component = 'stt' AND operates AND model IS NOT NULL THEN model END, CASE WHEN component = 'stt' AND operates AND model IS NOT NULL THEN start_unix_nano END) AS stt_model,
    arg_max(CASE WHEN component = 'llm' AND operates AND provider IS NOT NULL THEN provider END, CASE WHEN component = 'llm' AND operates AND provider IS NOT NULL THEN start_unix_nano END) AS llm_provider,
    arg_max(CASE WHEN component = 'llm' AND operates AND model IS NOT NULL THEN model END, CASE WHEN component = 'llm' AND operates AND model IS NOT NULL THEN start_unix_nano END) AS llm_model,
    arg_max(CASE WHEN component = 'tts' AND operates AND provider IS NOT NULL THEN provider END, CASE WHEN component = 'tts' AND operates AND provider IS NOT NULL THEN start_unix_nano END) AS tts_provider,
    arg_max(CASE WHEN component = 'tts' AND operates AND model IS NOT NULL THEN model END, CASE WHEN component = 'tts' AND operates AND model IS NOT NULL THEN start_unix_nano END) AS tts_model,
    arg_max(CASE WHEN component = 'nlu' AND operates AND intent IS NOT NULL THEN intent END, CASE WHEN component = 'nlu' AND operates AND intent IS NOT NULL THEN start_unix_nano END) AS intent,
    arg_min(CASE WHEN operates AND failed AND error_type IS NOT NULL THEN error_type END, CASE WHEN operates AND failed AND error_type IS NOT NULL THEN start_unix_nano END) AS error_type,
    count(CASE WHEN component = 'stt' THEN 1 END) AS stts,
    count(CASE WHEN component = 'tts' THEN 1 END) AS ttss,
    count(CASE WHEN component = 'llm' AND operates THEN 1 END) AS llms,
    count(CASE WHEN component = 'llm' AND operates AND failed THEN 1 END) AS llm_errors,
    min(CASE WHEN component IN ('llm', 'tts', 'nlu', 'rag', 'tool') THEN start_unix_nano END) AS stage_nano,
    bool_or(duration_ns IS NULL AND end_unix_nano - start_unix_nano > 60000000000) AS too_long,
    list(quality) FILTER (array_length(quality) > 0) AS span_rules,
    count(CASE WHEN component = 'tts' AND operates AND NOT failed THEN 1 END) > 0 AS spoken,
    -- Pipecat has no spans of tools: a model call tells that one ran before it
    count(CASE WHEN operates AND (component = 'tool' OR (component = 'llm' AND after_tool AND dialect = 'pipecat')) THEN 1 END) AS tool_calls,
    count(CASE WHEN operates THEN 1 END) AS operations,
    count(CASE WHEN operates AND failed THEN 1 END) AS errors,
    count(CASE WHEN component IN ('llm', 'tts') AND operates AND failed THEN 1 END) AS reply_errors,
    count(CASE WHEN component = 'handoff' THEN 1 END) > 0 AS handoff,
    try_cast(sum(CASE WHEN operates THEN input_tokens END) AS BIGINT) AS input_tokens,
    try_cast(sum(CASE WHEN operates THEN output_tokens END) AS BIGINT) AS output_tokens,
    sum(CASE WHEN component = 'stt' AND operates THEN audio_s END) AS audio_s,
    try_cast(sum(CASE WHEN component = 'tts' AND operates THEN characters END) AS BIGINT) AS characters,
    try_cast(sum(CASE WHEN operates THEN wer_errors END) AS BIGINT) AS wer_errors,
    try_cast(sum(CASE WHEN operates THEN wer_words END) AS BIGINT) AS wer_words
FROM steps
WHERE turn_index IS NOT NULL AND component <> 'session'
GROUP BY session_id, turn_index
