-- turns: what the caller waited for, and what the bot did in that time.
-- inputs: judged, texts, cuts, longest
-- grain: one row per (session_id, turn_index).
-- response_gap_s, wait_s, kind: as in judged; a gap outside 0 to 60 s is set aside.
-- interrupted, handoff: null where it is unknown.
-- quality: the rules that the turn breaks (``quality.py``); what they set aside is null.
SELECT
    session_id, turn_index, lower(hex(trace_id)) AS trace_id, lower(hex(turn_span_id)) AS turn_span_id,
    bot, channel, variant, environment, dialect,
    session_source, start_nano, end_nano,
    make_timestamp(start_nano // 1000) AT TIME ZONE 'UTC' AS start_time,
    make_timestamp(end_nano // 1000) AT TIME ZONE 'UTC' AS end_time,
    coalesce(user_text, heard) AS user_text, coalesce(bot_text, CASE WHEN dialect = 'pipecat' THEN written END, said) AS bot_text, kind,
    CASE WHEN kind = 'exchange' THEN
        CASE WHEN audible THEN 'answered' ELSE 'abandoned' END
    END AS outcome,
    CASE WHEN kind = 'exchange' AND NOT audible THEN
        CASE
            WHEN reply_errors > 0 THEN 'error'
            WHEN end_reason IN ('spoke_again', 'hung_up', 'session_ended') THEN end_reason
            WHEN flagged THEN 'spoke_again'
            ELSE 'session_ended'
        END
    END AS abandon_reason,
    CASE WHEN kind = 'exchange' AND gap_s BETWEEN 0 AND 60 THEN gap_s END AS response_gap_s,
    CASE WHEN kind = 'exchange' AND gap_s BETWEEN 0 AND 60 THEN CASE WHEN reported_gap_s IS NULL THEN 'derived' ELSE 'reported' END END AS gap_source,
    CASE WHEN kind = 'exchange' AND own_gap_s BETWEEN 0 AND 60 THEN own_gap_s END AS response_gap_derived_s,
    wait_s, segments, longest_segment, longest_owner,
    CASE WHEN NOT coalesce(cut_off, false) THEN flagged END AS interrupted,
    transcription_delay_s, CASE WHEN endpointing_delay_s <= 60 THEN endpointing_delay_s END AS endpointing_delay_s,
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
    {broken} AS quality
FROM judged
LEFT JOIN texts USING (session_id, turn_index)
LEFT JOIN cuts USING (session_id, turn_index)
LEFT JOIN longest USING (session_id, turn_index)
