-- waits: the waits that are cut into segments, answered and abandoned ones.
-- inputs: judged
-- grain: one row per exchange whose caller's end of speech is known; wait numbers them, for this one query.
-- begin_nano: t0, the caller's end of speech. finish_nano: t1, the first bot audio; of an abandoned one when it was given up.
-- decided_nano: when the bot was allowed to answer, transcribed_nano: when the final transcript was there, as far as the
--   spans of a framework tell; what endpointing and STT spans say is in milestones.
-- framework: its dialect, null where the bot's own code does what a framework does. Nanoseconds.
SELECT
    row_number() OVER (ORDER BY session_id, turn_index) AS wait,
    session_id, turn_index, answered, siblings, framework, setting_name, process,
    begin_nano, finish_nano, decided_nano, transcribed_nano, node_audio_s, setting_ns
FROM (
    SELECT
        session_id, turn_index, audible AS answered, process,
        coalesce(framed AND dialect = 'livekit', false) AS siblings,
        CASE WHEN dialect NOT IN ({flat}) THEN dialect END AS framework,
        CASE dialect WHEN 'livekit' THEN '{livekit_setting}' WHEN 'pipecat' THEN '{pipecat_setting}' ELSE '{native_setting}' END AS setting_name,
        coalesce(t0, CASE WHEN audible THEN t1 - gap_ns END) AS begin_nano,
        CASE
            WHEN NOT audible THEN greatest(end_nano, t0)
            WHEN reported_gap_s IS NULL THEN t1
            ELSE coalesce(t0, t1 - gap_ns) + gap_ns
        END AS finish_nano,
        decided_nano, transcribed_nano, node_audio_s,
        CASE WHEN endpointing_setting_s BETWEEN 0 AND 60 THEN (endpointing_setting_s * 1e9)::BIGINT END AS setting_ns
    FROM (SELECT *, CASE WHEN gap_s BETWEEN 0 AND 60 THEN (gap_s * 1e9)::BIGINT END AS gap_ns FROM judged)
    WHERE kind = 'exchange' AND CASE WHEN audible THEN gap_s BETWEEN 0 AND 60 ELSE t0 IS NOT NULL END
)
WHERE begin_nano IS NOT NULL AND finish_nano IS NOT NULL
