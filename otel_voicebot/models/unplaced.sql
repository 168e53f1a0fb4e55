-- unplaced: what known is where no span needed placing: the join costs a fifth of a tick.
-- inputs: parts
-- grain: one row per (session_id, turn_index).
SELECT
    * EXCLUDE (interrupted),
    false AS framed, false AS paired,
    NULL::DOUBLE AS derived_gap_s, NULL::BIGINT AS heard_nano,
    NULL::BIGINT AS decided_nano, NULL::BIGINT AS transcribed_nano, NULL::DOUBLE AS node_audio_s,
    NULL::DOUBLE AS transcription_delay_s, NULL::DOUBLE AS endpointing_delay_s,
    false AS late_end,
    interrupted AS flagged,
    interrupted AND end_reason = 'hung_up' AS cut_off
FROM parts
