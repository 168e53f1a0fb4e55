-- sessions: one call each.
-- inputs: steps, turns
-- grain: one row per session_id. duration_s: start to end of the session's span, else first start to last end, seconds.
-- outcome: what the bot reported last, else escalated after an unplanned handoff to a human, else failed where it ended
--   by an error, else unknown.
-- mos: mean of the opinion scores; null when kinds are mixed.
WITH facts AS (
    -- what a turn's row doesn't hold: the session's own span, what happened outside turns, handoffs and survey answers
    SELECT *,
        component = 'handoff' AND handoff_target = 'human' AND status <> 'error'
            AND NOT coalesce(handoff_planned, false) AND NOT coalesce(handoff_blocked, false) AS escalates
    FROM steps
    WHERE turn_index IS NULL OR component IN ('session', 'handoff')
        OR csat IS NOT NULL OR nps IS NOT NULL OR mos IS NOT NULL OR user_hash IS NOT NULL
),
whole AS (
    SELECT
        session_id,
        max(session_source) AS session_source,
        arg_min(trace_id, start_unix_nano) AS trace_id,
        min(start_unix_nano) AS first_nano,
        max(bot) AS bot, max(channel) AS channel, max(variant) AS variant, max(environment) AS environment,
        max(user_hash) AS user_hash,
        min(CASE WHEN component = 'session' THEN start_unix_nano END) AS session_start_nano,
        max(CASE WHEN component = 'session' THEN end_unix_nano END) AS session_end_nano,
        min(CASE WHEN name <> 'voicebot.feedback' AND turn_index IS NULL THEN start_unix_nano END) AS loose_start_nano,
        max(CASE WHEN name <> 'voicebot.feedback' AND turn_index IS NULL THEN end_unix_nano END) AS loose_end_nano,
        max(end_unix_nano) AS any_end_nano,
        arg_max(CASE WHEN component <> 'endpointing' THEN outcome END,
            CASE WHEN component <> 'endpointing' AND outcome IS NOT NULL THEN end_unix_nano END) AS reported,
        -- LiveKit says it on a span of its own
        coalesce(max(CASE WHEN component = 'session' THEN end_reason END), max(CASE WHEN component = 'other' THEN end_reason END)) AS end_reason,
        count(CASE WHEN escalates THEN 1 END) AS escalations,
        arg_min(CASE WHEN escalates THEN handoff_requested_by END,
            CASE WHEN escalates AND handoff_requested_by IS NOT NULL THEN start_unix_nano END) AS escalated_by,
        count(CASE WHEN component = 'handoff' AND handoff_planned THEN 1 END) > 0 AS planned_handoff,
        max(CASE WHEN component = 'session' THEN intent END) AS reported_intent,
        arg_max(csat, CASE WHEN csat IS NOT NULL THEN end_unix_nano END) AS csat,
        arg_max(nps, CASE WHEN nps IS NOT NULL THEN end_unix_nano END) AS nps,
        try_cast(sum(CASE WHEN turn_index IS NULL AND operates THEN wer_errors END) AS BIGINT) AS wer_errors,
        try_cast(sum(CASE WHEN turn_index IS NULL AND operates THEN wer_words END) AS BIGINT) AS wer_words,
        avg(mos) AS mos,
        min(CASE WHEN mos IS NOT NULL THEN coalesce(mos_kind, '') END) AS mos_kind,
        max(CASE WHEN mos IS NOT NULL THEN coalesce(mos_kind, '') END) AS other_mos_kind,
        count(CASE WHEN turn_index IS NULL AND operates THEN 1 END) AS operations,
        count(CASE WHEN turn_index IS NULL AND operates AND failed THEN 1 END) AS errors,
        count(CASE WHEN component = 'session' THEN 1 END) > 0 AS complete
    FROM facts
    GROUP BY session_id
),
spoken AS (
    SELECT
        session_id,
        max(session_source) AS session_source,
        arg_min(trace_id, start_nano) AS trace_id,
        min(start_nano) AS start_nano,
        max(end_nano) AS end_nano,
        max(bot) AS bot, max(channel) AS channel, max(variant) AS variant, max(environment) AS environment,
        count(CASE WHEN kind = 'exchange' THEN 1 END) AS turns,
        count(CASE WHEN outcome = 'answered' THEN 1 END) AS answered,
        arg_min(intent, CASE WHEN intent IS NOT NULL THEN start_nano END) AS intent,
        try_cast(sum(words) AS BIGINT) AS words,
        try_cast(sum(wer_errors) AS BIGINT) AS wer_errors,
        try_cast(sum(wer_words) AS BIGINT) AS wer_words,
        try_cast(sum(operations) AS BIGINT) AS operations,
        try_cast(sum(errors) AS BIGINT) AS errors
    FROM turns
    GROUP BY session_id
),
calls AS (
    SELECT
        coalesce(w.session_id, s.session_id) AS session_id,
        greatest(w.session_source, s.session_source) AS session_source,
        CASE WHEN s.start_nano IS NULL OR w.first_nano < s.start_nano THEN lower(hex(w.trace_id)) ELSE s.trace_id END AS trace_id,
        greatest(w.bot, s.bot) AS bot, greatest(w.channel, s.channel) AS channel,
        greatest(w.variant, s.variant) AS variant, greatest(w.environment, s.environment) AS environment,
        w.user_hash,
        coalesce(w.session_start_nano, least(w.loose_start_nano, s.start_nano), w.first_nano) AS start_nano,
        coalesce(w.session_end_nano, greatest(w.loose_end_nano, s.end_nano), w.any_end_nano) AS end_nano,
        coalesce(s.turns, 0) AS turns,
        coalesce(s.answered, 0) AS answered,
        w.reported, w.end_reason, coalesce(w.escalations, 0) AS escalations, w.escalated_by,
        coalesce(w.planned_handoff, false) AS planned_handoff,
        coalesce(w.reported_intent, s.intent) AS intent,
        w.csat, w.nps,
        CASE WHEN w.wer_errors IS NOT NULL OR s.wer_errors IS NOT NULL
            THEN try_cast(coalesce(w.wer_errors, 0)::HUGEINT + coalesce(s.wer_errors, 0) AS BIGINT) END AS wer_errors,
        CASE WHEN w.wer_words IS NOT NULL OR s.wer_words IS NOT NULL
            THEN try_cast(coalesce(w.wer_words, 0)::HUGEINT + coalesce(s.wer_words, 0) AS BIGINT) END AS wer_words,
        CASE WHEN w.mos_kind = w.other_mos_kind THEN w.mos END AS mos,
        CASE WHEN w.mos_kind = w.other_mos_kind THEN nullif(w.mos_kind, '') END AS mos_kind,
        s.words,
        coalesce(w.operations, 0) + coalesce(s.operations, 0) AS operations,
        coalesce(w.errors, 0) + coalesce(s.errors, 0) AS errors,
        coalesce(w.complete, false) AS complete
    FROM whole w
    FULL OUTER JOIN spoken s ON s.session_id = w.session_id
)
SELECT
    session_id, session_source, trace_id, bot, channel, variant, environment, user_hash,
    make_timestamp(start_nano // 1000) AT TIME ZONE 'UTC' AS start_time,
    make_timestamp(end_nano // 1000) AT TIME ZONE 'UTC' AS end_time,
    greatest(end_nano - start_nano, 0) / 1e9 AS duration_s,
    turns, answered,
    coalesce(reported, CASE WHEN escalations > 0 THEN 'escalated' WHEN end_reason = 'error' THEN 'failed' ELSE 'unknown' END) AS outcome,
    end_reason,
    CASE WHEN escalations > 0 THEN coalesce(escalated_by, 'unknown') END AS escalated_by,
    planned_handoff, intent, csat, nps, wer_errors, wer_words, mos, mos_kind,
    words, operations, errors, complete,
    CASE WHEN complete THEN [] ELSE ['no_session_span'] END AS quality
FROM calls
