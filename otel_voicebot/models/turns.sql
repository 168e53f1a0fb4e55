-- turns: what the caller waited for, and what the bot did in that time.
-- inputs: steps, texts
-- grain: one row per (session_id, turn_index).
-- response_gap_s: the caller's true end of speech to the first bot audio after it, seconds; null without bot audio.
-- wait_s: of an abandoned exchange, the caller's end of speech to the end of the turn: a lower bound (right-censored).
-- kind: an exchange has a caller's utterance that the bot was to answer (its endpointing, if any, committed);
--   a greeting has bot audio only.
-- A sum beyond 64 bits is null: what a sender made up must not stop the query.
WITH parts AS (
    SELECT
        session_id, turn_index,
        min(trace_id) AS trace_id,
        min(CASE WHEN component = 'turn' THEN span_id END) AS turn_span_id,
        max(bot) AS bot, max(channel) AS channel, max(variant) AS variant, max(environment) AS environment,
        max(dialect) AS dialect,
        max(session_source) AS session_source,
        coalesce(min(CASE WHEN component = 'turn' THEN start_unix_nano END), min(start_unix_nano)) AS start_nano,
        coalesce(max(CASE WHEN component = 'turn' THEN end_unix_nano END), max(end_unix_nano)) AS end_nano,
        min(CASE WHEN component = 'turn' THEN user_speech_end_unix_nano END) AS t0,
        min(CASE WHEN component = 'turn' THEN bot_speech_start_unix_nano END) AS t1,
        coalesce(bool_or(CASE WHEN component = 'turn' THEN interrupted END), false) AS interrupted,
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
        arg_min(CASE WHEN operates AND status = 'error' AND error_type IS NOT NULL THEN error_type END, CASE WHEN operates AND status = 'error' AND error_type IS NOT NULL THEN start_unix_nano END) AS error_type,
        count(CASE WHEN component = 'stt' THEN 1 END) AS stts,
        count(CASE WHEN component = 'tts' AND operates AND status <> 'error' THEN 1 END) > 0 AS spoken,
        count(CASE WHEN component = 'tool' AND operates THEN 1 END) AS tool_calls,
        count(CASE WHEN operates THEN 1 END) AS operations,
        count(CASE WHEN operates AND status = 'error' THEN 1 END) AS errors,
        count(CASE WHEN component IN ('llm', 'tts') AND operates AND status = 'error' THEN 1 END) AS reply_errors,
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
),
kinds AS (
    SELECT *,
        t0 IS NULL AND t1 IS NULL AS unmarked,
        CASE
            WHEN endpointings > 0 AND endpointings = not_committed AND t1 IS NULL THEN 'other'
            WHEN t0 IS NOT NULL THEN 'exchange'
            WHEN t1 IS NOT NULL THEN 'greeting'
            WHEN stts > 0 OR endpointings > 0 THEN 'exchange'
            WHEN spoken THEN 'greeting'
            ELSE 'other'
        END AS kind
    FROM parts
)
SELECT
    session_id, turn_index, lower(hex(trace_id)) AS trace_id, lower(hex(turn_span_id)) AS turn_span_id,
    bot, channel, variant, environment, dialect,
    session_source, start_nano, end_nano,
    make_timestamp(start_nano // 1000) AT TIME ZONE 'UTC' AS start_time,
    make_timestamp(end_nano // 1000) AT TIME ZONE 'UTC' AS end_time,
    coalesce(user_text, heard) AS user_text, coalesce(bot_text, said) AS bot_text, kind,
    CASE WHEN kind = 'exchange' THEN
        CASE WHEN t1 IS NOT NULL OR (unmarked AND spoken) THEN 'answered' ELSE 'abandoned' END
    END AS outcome,
    CASE WHEN kind = 'exchange' AND t1 IS NULL AND NOT (unmarked AND spoken) THEN
        CASE
            WHEN reply_errors > 0 THEN 'error'
            WHEN end_reason IN ('spoke_again', 'hung_up', 'session_ended') THEN end_reason
            WHEN interrupted THEN 'spoke_again'
            ELSE 'session_ended'
        END
    END AS abandon_reason,
    CASE WHEN kind = 'exchange' THEN (t1 - t0) / 1e9 END AS response_gap_s,
    CASE WHEN kind = 'exchange' AND t1 - t0 IS NOT NULL THEN 'derived' END AS gap_source,
    CASE WHEN kind = 'exchange' AND t1 IS NULL AND t0 IS NOT NULL THEN greatest(end_nano - t0, 0) / 1e9 END AS wait_s,
    interrupted,
    endpointing_ns / 1e9 AS endpointing_s,
    stt_ns / 1e9 AS stt_s,
    llm_first_token_s,
    llm_ns / 1e9 AS llm_s,
    tts_first_audio_s,
    tts_ns / 1e9 AS tts_s,
    stt_provider, stt_model, llm_provider, llm_model, tts_provider, tts_model,
    input_tokens, output_tokens, audio_s, characters,
    try_cast(CASE WHEN user_words IS NOT NULL OR bot_words IS NOT NULL THEN coalesce(user_words, 0)::HUGEINT + coalesce(bot_words, 0) END AS BIGINT) AS words,
    tool_calls, operations, errors, error_type, handoff, intent, wer_errors, wer_words,
    CASE
        WHEN turn_span_id IS NULL AND kind = 'exchange' AND unmarked THEN ['no_turn_span', 'no_speech_marks']
        WHEN turn_span_id IS NULL THEN ['no_turn_span']
        WHEN kind = 'exchange' AND unmarked THEN ['no_speech_marks']
        ELSE []
    END AS quality
FROM kinds
LEFT JOIN texts USING (session_id, turn_index)
