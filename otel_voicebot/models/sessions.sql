-- sessions: one call each.
-- inputs: steps, turns
-- grain: one row per session_id. duration_s: start to end of the session's span, else first start to last end, seconds.
-- outcome: what the bot reported last, else escalated after an unplanned handoff to a human, else unknown.
-- mos: mean of the opinion scores; null when kinds are mixed.
WITH whole AS (
    SELECT
        session_id,
        max(session_source) AS session_source,
        arg_min(trace_id, start_unix_nano) AS trace_id,
        max(bot) AS bot, max(channel) AS channel, max(variant) AS variant, max(environment) AS environment,
        max(user_hash) AS user_hash,
        coalesce(min(CASE WHEN component = 'session' THEN start_unix_nano END),
            min(CASE WHEN name <> 'voicebot.feedback' THEN start_unix_nano END), min(start_unix_nano)) AS start_nano,
        coalesce(max(CASE WHEN component = 'session' THEN end_unix_nano END),
            max(CASE WHEN name <> 'voicebot.feedback' THEN end_unix_nano END), max(end_unix_nano)) AS end_nano,
        arg_max(CASE WHEN outcome IS NOT NULL AND component <> 'endpointing' THEN outcome END, CASE WHEN outcome IS NOT NULL AND component <> 'endpointing' THEN end_unix_nano END) AS reported,
        max(CASE WHEN component = 'session' THEN end_reason END) AS end_reason,
        count(CASE WHEN component = 'handoff' AND handoff_target = 'human' AND NOT coalesce(handoff_planned, false) AND NOT coalesce(handoff_blocked, false) AND status <> 'error' THEN 1 END) AS escalations,
        arg_min(CASE WHEN component = 'handoff' AND handoff_target = 'human' AND NOT coalesce(handoff_planned, false) AND NOT coalesce(handoff_blocked, false) AND status <> 'error' THEN handoff_requested_by END, CASE WHEN component = 'handoff' AND handoff_target = 'human' AND NOT coalesce(handoff_planned, false) AND NOT coalesce(handoff_blocked, false) AND status <> 'error' THEN start_unix_nano END) AS escalated_by,
        count(CASE WHEN component = 'handoff' AND handoff_planned THEN 1 END) > 0 AS planned_handoff,
        arg_max(CASE WHEN component = 'session' AND intent IS NOT NULL THEN intent END, CASE WHEN component = 'session' AND intent IS NOT NULL THEN end_unix_nano END) AS reported_intent,
        arg_min(CASE WHEN component = 'nlu' AND operates AND intent IS NOT NULL THEN intent END, CASE WHEN component = 'nlu' AND operates AND intent IS NOT NULL THEN start_unix_nano END) AS first_intent,
        arg_max(CASE WHEN csat IS NOT NULL THEN csat END, CASE WHEN csat IS NOT NULL THEN end_unix_nano END) AS csat,
        arg_max(CASE WHEN nps IS NOT NULL THEN nps END, CASE WHEN nps IS NOT NULL THEN end_unix_nano END) AS nps,
        sum(CASE WHEN operates THEN wer_errors END) AS wer_errors,
        sum(CASE WHEN operates THEN wer_words END) AS wer_words,
        avg(mos) AS mos,
        min(mos_kind) AS mos_kind,
        count(DISTINCT mos_kind) AS mos_kinds,
        count(CASE WHEN operates THEN 1 END) AS operations,
        count(CASE WHEN operates AND status = 'error' THEN 1 END) AS errors,
        count(CASE WHEN component = 'session' THEN 1 END) > 0 AS complete
    FROM steps
    GROUP BY session_id
),
spoken AS (
    SELECT
        session_id,
        count(CASE WHEN kind = 'exchange' THEN 1 END) AS turns,
        count(CASE WHEN outcome = 'answered' THEN 1 END) AS answered,
        sum(words) AS words
    FROM turns
    GROUP BY session_id
)
SELECT
    w.session_id, session_source, lower(hex(trace_id)) AS trace_id, bot, channel, variant, environment, user_hash,
    make_timestamp(start_nano // 1000) AT TIME ZONE 'UTC' AS start_time,
    make_timestamp(end_nano // 1000) AT TIME ZONE 'UTC' AS end_time,
    greatest(end_nano - start_nano, 0) / 1e9 AS duration_s,
    coalesce(turns, 0) AS turns,
    coalesce(answered, 0) AS answered,
    coalesce(reported, CASE WHEN escalations > 0 THEN 'escalated' ELSE 'unknown' END) AS outcome,
    end_reason,
    CASE WHEN escalations > 0 THEN coalesce(escalated_by, 'unknown') END AS escalated_by,
    planned_handoff,
    coalesce(reported_intent, first_intent) AS intent,
    csat, nps, wer_errors, wer_words,
    CASE WHEN mos_kinds <= 1 THEN mos END AS mos,
    CASE WHEN mos_kinds <= 1 THEN mos_kind END AS mos_kind,
    words, operations, errors, complete,
    CASE WHEN complete THEN [] ELSE ['no_session_span'] END AS quality
FROM whole w
LEFT JOIN spoken s ON s.session_id = w.session_id
