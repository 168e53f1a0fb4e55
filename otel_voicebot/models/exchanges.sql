-- exchanges: what the spans of placed turns say of the wait, by the rules of each framework.
-- inputs: framed, placed
-- grain: one row per (session_id, turn_index) of placed.
-- t0: the caller's end of speech; t1: the first bot audio. Where the framework reports the gap itself, the other of the
--   two follows from it. derived_gap_s: the gap without that report.
-- end_nano: of an answered exchange the end of its turn; else when the caller spoke again, or the session ended.
-- decided_nano: when the bot was allowed to answer; transcribed_nano: when the final transcript was there.
-- heard_nano: the transcript, where t0 is unknown. late_end: end_nano is later than the caller began to speak.
-- interrupted: null with cut_off: both frameworks flag a reply that the end of the call cut off, and a caller's next
--   words are the sign that somebody spoke.
-- closed: no span that is still to come should change the row, but for late ones.
WITH own AS (
    SELECT p.session_id, p.turn_index, p.frame, p.part, p.begin_nano, p.present,
        f.trace_id, f.span_id, f.name, f.component, f.dialect, f.framework, f.heads, f.b, f.e, f.operates, f.works, f.failed, f.interrupted, f.outcome,
        f.time_to_first_chunk_s, f.reported_gap_s, f.transcription_delay_s, f.endpointing_delay_s
    FROM placed p
    JOIN framed f ON f.span_id = p.span_id AND f.trace_id = p.trace_id
),
calls AS (
    SELECT session_id,
        min(CASE WHEN dialect = 'livekit' AND name = 'session_close' THEN b END) AS close_nano,
        max(CASE WHEN component = 'session' THEN e END) AS end_nano,
        max(CASE WHEN component IN ('session', 'other') THEN end_reason END) AS end_reason
    FROM framed
    WHERE framework
    GROUP BY session_id
),
heard AS (
    SELECT session_id, turn_index, any_value(frame) AS frame, any_value(part) AS part, min(begin_nano) AS begin_nano,
        bool_or(present) AS present,
        max(CASE WHEN framework THEN dialect END) AS dialect,
        coalesce(max(CASE WHEN framework THEN dialect END) = 'livekit', false) AS siblings,
        max(CASE WHEN heads AND component = 'turn' THEN e END) AS turn_e,
        min(CASE WHEN heads AND component = 'turn' THEN span_id END) AS turn_span_id,
        min(CASE WHEN component = 'stt' AND operates THEN least(b, e - (transcription_delay_s * 1e9)::BIGINT) END) AS caller_b,
        -- Pipecat before 1.2 opens the span when the transcript is there: only the end of speech is known
        min(CASE WHEN component = 'stt' AND operates AND b > e - (transcription_delay_s * 1e9)::BIGINT THEN e - (transcription_delay_s * 1e9)::BIGINT END) AS late_b,
        max(CASE WHEN component = 'stt' AND operates THEN e END) AS heard_nano,
        arg_max_null(e - (transcription_delay_s * 1e9)::BIGINT, CASE WHEN component = 'stt' AND operates THEN b END) AS stt_t0,
        arg_max_null(transcription_delay_s, CASE WHEN component = 'stt' AND operates THEN b END) AS stt_delay_s,
        max(CASE WHEN component = 'turn' THEN transcription_delay_s END) AS turn_stt_delay_s,
        arg_max_null(e - (endpointing_delay_s * 1e9)::BIGINT, CASE WHEN component = 'stt' AND operates THEN b END) AS decided_t0,
        coalesce(max(CASE WHEN component = 'stt' THEN endpointing_delay_s END), max(CASE WHEN component = 'turn' THEN endpointing_delay_s END)) AS endpointing_delay_s,
        max(CASE WHEN component = 'endpointing' AND coalesce(outcome, 'committed') = 'committed' THEN b END) AS committed_b,
        max(CASE WHEN component = 'endpointing' AND coalesce(outcome, 'committed') = 'committed' THEN e END) AS committed_e,
        max(CASE WHEN name = 'user_speaking' THEN e END) AS speaking_e,
        max(CASE WHEN component = 'turn' THEN reported_gap_s END) AS reported_gap_s,
        bool_or(CASE WHEN component = 'turn' THEN interrupted END) AS flagged,
        min(CASE WHEN component = 'playout' THEN b END) AS playout_b,
        arg_min(time_to_first_chunk_s, CASE WHEN name = 'llm_node' AND time_to_first_chunk_s IS NOT NULL THEN b END) AS node_token_s,
        arg_min(time_to_first_chunk_s, CASE WHEN name = 'tts_node' AND time_to_first_chunk_s IS NOT NULL THEN b END) AS node_audio_s,
        bool_or(component = 'tts' AND operates AND NOT failed) AS spoken
    FROM own
    GROUP BY session_id, turn_index
),
spoke AS (
    SELECT h.session_id, h.turn_index,
        min(CASE WHEN o.component = 'tts' AND NOT o.failed THEN o.b + (o.time_to_first_chunk_s * 1e9)::BIGINT END) AS tts_nano,
        min(CASE WHEN o.works AND (h.stt_t0 IS NULL OR o.b >= h.stt_t0) THEN o.b END) AS work_b,
        min(CASE WHEN o.works AND (h.heard_nano IS NULL OR o.b >= h.heard_nano) THEN o.b END) AS answering_b
    FROM heard h
    JOIN own o ON o.session_id = h.session_id AND o.turn_index = h.turn_index AND o.operates
        AND (h.stt_t0 IS NULL OR o.component <> 'tts' OR o.time_to_first_chunk_s IS NULL OR o.b + (o.time_to_first_chunk_s * 1e9)::BIGINT > h.stt_t0)
    GROUP BY h.session_id, h.turn_index
),
framework AS (
    -- the turn's own span stands with its first exchange; what it says belongs to one of them
    SELECT h.*, s.work_b, s.answering_b,
        CASE WHEN h.siblings THEN h.playout_b ELSE coalesce(h.playout_b, s.tts_nano) END AS audio_b,
        max(h.reported_gap_s) OVER w AS frame_gap_s,
        bool_or(h.flagged) OVER w AS frame_flagged,
        min(h.turn_span_id) OVER w AS frame_span_id,
        max(h.turn_e) OVER w AS frame_e,
        max(h.part) OVER w AS last_part,
        max(CASE WHEN s.tts_nano IS NOT NULL OR h.playout_b IS NOT NULL THEN h.part END) OVER w AS audible_part,
        -- of the session
        lead(h.turn_index) OVER s IS NULL AS last,
        min(h.late_b) OVER (PARTITION BY h.session_id ORDER BY h.begin_nano, h.turn_index ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS next_late_b,
        min(h.caller_b) OVER (PARTITION BY h.session_id ORDER BY h.begin_nano, h.turn_index ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS next_caller_b,
        count(CASE WHEN h.present THEN 1 END) OVER (PARTITION BY h.session_id ORDER BY h.begin_nano, h.turn_index ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) > 0 AS followed
    FROM heard h
    LEFT JOIN spoke s ON s.session_id = h.session_id AND s.turn_index = h.turn_index
    WINDOW w AS (PARTITION BY h.session_id, h.frame), s AS (PARTITION BY h.session_id ORDER BY h.begin_nano, h.turn_index)
),
timed AS (
    SELECT *,
        CASE WHEN part = coalesce(audible_part, last_part) THEN frame_gap_s END AS gap_s,
        CASE WHEN siblings THEN committed_b ELSE stt_t0 END AS derived_t0,
        CASE
            WHEN NOT siblings THEN stt_t0
            WHEN caller_b IS NOT NULL THEN coalesce(committed_b, speaking_e, decided_t0)
        END AS own_t0
    FROM framework
),
marked AS (
    SELECT *,
        -- both frameworks measure one gap: Pipecat from the caller's end, which the span of STT has; LiveKit to the audio
        CASE WHEN siblings THEN coalesce(audio_b - (gap_s * 1e9)::BIGINT, own_t0) ELSE coalesce(own_t0, audio_b - (gap_s * 1e9)::BIGINT) END AS t0,
        CASE WHEN siblings OR gap_s IS NULL OR own_t0 IS NULL THEN audio_b ELSE own_t0 + (gap_s * 1e9)::BIGINT END AS t1
    FROM timed
)
SELECT
    m.session_id, m.turn_index, m.dialect, m.begin_nano,
    CASE
        WHEN (m.t1 IS NOT NULL OR m.gap_s IS NOT NULL OR (m.caller_b IS NULL AND m.t0 IS NULL)) AND m.part = m.last_part THEN coalesce(m.frame_e, m.heard_nano)
        WHEN m.next_caller_b IS NOT NULL THEN m.next_caller_b
        ELSE coalesce(c.close_nano, c.end_nano, m.frame_e)
    END AS finish_nano,
    m.t0, m.t1, m.gap_s AS reported_gap_s,
    (m.audio_b - m.derived_t0) / 1e9 AS derived_gap_s,
    m.present, m.frame_span_id,
    coalesce(m.stt_delay_s, m.turn_stt_delay_s) AS transcription_delay_s,
    CASE WHEN m.siblings THEN m.endpointing_delay_s ELSE (m.work_b - m.stt_t0) / 1e9 END AS endpointing_delay_s,
    -- the reply was allowed: what says so, else the first work on it
    coalesce(
        m.committed_e, CASE WHEN m.siblings THEN m.t0 + (m.endpointing_delay_s * 1e9)::BIGINT ELSE coalesce(m.answering_b, m.work_b) END
    ) AS decided_nano,
    CASE WHEN m.siblings THEN m.t0 + (coalesce(m.stt_delay_s, m.turn_stt_delay_s) * 1e9)::BIGINT ELSE m.heard_nano END AS transcribed_nano,
    m.node_token_s, m.node_audio_s, m.heard_nano, coalesce(m.next_late_b = m.next_caller_b, false) AS late_end,
    CASE WHEN m.part < m.last_part THEN false WHEN m.frame_flagged AND m.last THEN NULL ELSE coalesce(m.frame_flagged, CASE WHEN m.present THEN false END) END AS interrupted,
    coalesce(m.part = m.last_part AND m.frame_flagged AND m.last, false) AS cut_off,
    CASE
        WHEN m.next_caller_b IS NOT NULL THEN 'spoke_again'
        WHEN c.end_reason IN ('hung_up', 'participant_disconnected') THEN 'hung_up'
        ELSE 'session_ended'
    END AS end_reason,
    m.present AND (
        m.followed
        OR ((m.t1 IS NOT NULL OR m.gap_s IS NOT NULL OR (m.caller_b IS NULL AND m.spoken)) AND NOT coalesce(m.frame_flagged, false))
    ) AS closed
FROM marked m
LEFT JOIN calls c ON c.session_id = m.session_id
