-- breakdowns: what the framework says of the parts of a wait, beside what its segments say.
-- inputs: turns, segments
-- grain: one row per (session_id, turn_index, part) of which both are known. Seconds; difference_s: segments less framework.
-- part: decision (the caller's end of speech to when the bot was allowed to answer: endpointing and stt_tail), llm_first_token (of the first
--   model call; a call before the decision counts from there in the segments only), tts_first_audio, response_gap (reported against derived).
-- The framework's figures overlap: they don't add up to the gap, and a large difference says where time was hidden behind other work.
WITH parts AS (
    SELECT
        session_id, turn_index,
        sum(CASE WHEN segment IN ('endpointing', 'stt_tail') AND position <= 3 THEN end_nano - start_nano END) / 1e9 AS decision_s,
        sum(CASE WHEN segment = 'llm_first_token' AND place = 1 THEN end_nano - start_nano END) / 1e9 AS token_s,
        sum(CASE WHEN segment = 'tts_first_audio' THEN end_nano - start_nano END) / 1e9 AS audio_s
    FROM (
        SELECT *, row_number() OVER (PARTITION BY session_id, turn_index, segment ORDER BY position) AS place
        FROM segments
    )
    GROUP BY session_id, turn_index
),
both_sides AS (
    SELECT t.session_id, t.turn_index, t.dialect, n.part,
        CASE n.part
            WHEN 'decision' THEN t.endpointing_delay_s
            WHEN 'llm_first_token' THEN t.llm_first_token_s
            WHEN 'tts_first_audio' THEN t.tts_first_audio_s
            ELSE CASE WHEN t.gap_source = 'reported' THEN t.response_gap_s END
        END AS framework_s,
        CASE n.part
            WHEN 'decision' THEN p.decision_s
            WHEN 'llm_first_token' THEN p.token_s
            WHEN 'tts_first_audio' THEN p.audio_s
            ELSE t.response_gap_derived_s
        END AS segments_s
    FROM turns t
    JOIN parts p ON p.session_id = t.session_id AND p.turn_index = t.turn_index
    CROSS JOIN (VALUES ('decision'), ('llm_first_token'), ('tts_first_audio'), ('response_gap')) n(part)
)
SELECT session_id, turn_index, dialect, part, framework_s, segments_s, segments_s - framework_s AS difference_s
FROM both_sides
WHERE framework_s IS NOT NULL AND segments_s IS NOT NULL
