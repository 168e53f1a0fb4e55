-- known: parts, and before them what exchanges knows of a turn of a framework whose spans needed placing.
-- inputs: parts, exchanges
-- grain: one row per (session_id, turn_index).
SELECT
    p.* EXCLUDE (turn_span_id, start_nano, end_nano, t0, t1, interrupted, end_reason, reported_gap_s, llm_first_token_s, tts_first_audio_s, handoff, dialect),
    x.session_id IS NOT NULL AS framed,
    coalesce(x.present, false) AS paired,
    coalesce(x.frame_span_id, p.turn_span_id) AS turn_span_id,
    coalesce(x.begin_nano, p.start_nano) AS start_nano,
    coalesce(x.finish_nano, p.end_nano) AS end_nano,
    coalesce(x.t0, p.t0) AS t0,
    coalesce(x.t1, p.t1) AS t1,
    CASE WHEN x.session_id IS NULL THEN p.reported_gap_s ELSE x.reported_gap_s END AS reported_gap_s,
    x.derived_gap_s, x.heard_nano, x.decided_nano, x.transcribed_nano, x.node_audio_s,
    x.transcription_delay_s, x.endpointing_delay_s,
    coalesce(x.late_end, false) AS late_end,
    CASE WHEN x.session_id IS NULL THEN p.interrupted ELSE x.interrupted END AS flagged,
    CASE WHEN x.session_id IS NULL THEN p.interrupted AND p.end_reason = 'hung_up' ELSE x.cut_off END AS cut_off,
    coalesce(x.end_reason, p.end_reason) AS end_reason,
    coalesce(x.node_token_s, p.llm_first_token_s) AS llm_first_token_s,
    coalesce(x.node_audio_s, p.tts_first_audio_s) AS tts_first_audio_s,
    coalesce(x.dialect, p.dialect) AS dialect,
    -- Pipecat's spans don't tell of handoffs
    nullif(p.handoff, CASE WHEN x.dialect = 'pipecat' THEN false END) AS handoff
FROM parts p
LEFT JOIN exchanges x ON x.session_id = p.session_id AND x.turn_index = p.turn_index
