-- per_call: what each call adds to each KPI, for whatever takes the call as its unit (experiments do).
-- inputs: sessions, turns, operations, issues, costs
-- grain: one row per session_id. Of a KPI k: k is the call's share of the numerator, k_of of the denominator, k_out how many rows of it
--   are left out, all by the definitions of kpis: over any calls, sum(k) / sum(k_of) is the KPI (nps: times 100).
-- fcr_1d, fcr_7d, fcr_30d: of the calls that start an issue whose window has passed (see issues, fcr).
-- k is null where the call holds nothing that was measured. response_gaps_s: the gaps of the answered exchanges, seconds, ascending.
-- input_tokens_per_session, output_tokens_per_session: tokens / sessions; a session with a model call of unknown tokens is left out.
-- cost_per_priced_session_usd: cost / sessions; a session in which something that didn't fail has no known cost is left out, as
--   what isn't priced would look free.
WITH s AS (
    SELECT *,
        outcome = 'abandoned' AND duration_s < getvariable('short_session_s') AS short,
        NOT (outcome = 'abandoned' AND duration_s < getvariable('short_session_s')) AND NOT planned_handoff AS eligible
    FROM sessions
),
tu AS (
    SELECT
        session_id,
        count(CASE WHEN kind = 'exchange' THEN 1 END) AS exchanges,
        count(CASE WHEN outcome = 'abandoned' THEN 1 END) AS abandoned,
        count(CASE WHEN interrupted IS NOT NULL AND (kind = 'greeting' OR outcome = 'answered') THEN 1 END) AS replies,
        count(CASE WHEN interrupted IS NULL AND (kind = 'greeting' OR outcome = 'answered') THEN 1 END) AS cut_off,
        count(CASE WHEN interrupted AND (kind = 'greeting' OR outcome = 'answered') THEN 1 END) AS interrupted,
        count(response_gap_s) AS gaps,
        count(CASE WHEN outcome = 'answered' AND response_gap_s IS NULL THEN 1 END) AS unmarked,
        sum(response_gap_s) AS gap_s,
        list(response_gap_s ORDER BY response_gap_s) FILTER (WHERE response_gap_s IS NOT NULL) AS response_gaps_s
    FROM turns
    GROUP BY session_id
),
op AS (
    SELECT
        session_id,
        count(*) AS n,
        count(CASE WHEN failed THEN 1 END) AS failed,
        try_cast(sum(CASE WHEN wer_words IS NOT NULL THEN wer_errors END) AS BIGINT) AS wer_errors,
        try_cast(sum(wer_words) AS BIGINT) AS wer_words,
        count(CASE WHEN component = 'stt' AND wer_words IS NULL THEN 1 END) AS unreferenced,
        count(CASE WHEN component = 'cache' THEN cache_hit END) AS lookups,
        count(CASE WHEN component = 'cache' AND cache_hit THEN 1 END) AS hits,
        try_cast(sum(input_tokens) AS BIGINT) AS input_tokens,
        try_cast(sum(output_tokens) AS BIGINT) AS output_tokens,
        count(CASE WHEN component = 'llm' AND input_tokens IS NULL THEN 1 END) > 0 AS input_unknown,
        count(CASE WHEN component = 'llm' AND output_tokens IS NULL THEN 1 END) > 0 AS output_unknown,
        count(CASE WHEN component = 'nlu' THEN 1 END) AS classified,
        count(CASE WHEN component = 'nlu' THEN confidence END) AS confident,
        count(CASE WHEN component = 'nlu' AND confidence < 0.7 THEN 1 END) AS low_confidence,
        count(CASE WHEN component = 'nlu' AND intent_fallback THEN 1 END) AS fallbacks
    FROM operations
    GROUP BY session_id
),
paid AS (
    SELECT session_id, sum(cost_usd)::DOUBLE AS usd, count(CASE WHEN cost_usd IS NULL AND NOT failed THEN 1 END) > 0 AS cost_unknown
    FROM costs
    GROUP BY session_id
),
first_calls AS (
    SELECT
        session_id,
        max(CASE WHEN days = 1 THEN CASE WHEN solved THEN 1 ELSE 0 END END) AS fcr_1d,
        max(CASE WHEN days = 7 THEN CASE WHEN solved THEN 1 ELSE 0 END END) AS fcr_7d,
        max(CASE WHEN days = 30 THEN CASE WHEN solved THEN 1 ELSE 0 END END) AS fcr_30d
    FROM issues
    WHERE passed
    GROUP BY session_id
)
SELECT
    s.session_id,
    tu.response_gaps_s,
    tu.gap_s AS response_gap_mean_s, tu.gaps AS response_gap_mean_s_of, tu.abandoned + tu.unmarked AS response_gap_mean_s_out,
    tu.abandoned AS abandoned_wait_rate, tu.exchanges AS abandoned_wait_rate_of, 0 AS abandoned_wait_rate_out,
    tu.interrupted AS interruption_rate, tu.replies AS interruption_rate_of, tu.cut_off AS interruption_rate_out,
    op.failed AS error_rate, op.n AS error_rate_of, 0 AS error_rate_out,
    op.wer_errors AS wer, op.wer_words AS wer_of, op.unreferenced AS wer_out,
    CASE WHEN s.answered > 0 THEN s.duration_s END AS aht_s,
    CASE WHEN s.answered > 0 THEN 1 END AS aht_s_of,
    CASE WHEN s.answered > 0 THEN 0 ELSE 1 END AS aht_s_out,
    i.fcr_1d, CASE WHEN i.fcr_1d IS NOT NULL THEN 1 END AS fcr_1d_of,
    CASE WHEN s.short OR s.user_hash IS NULL OR s.intent IS NULL THEN 1 ELSE 0 END AS fcr_1d_out,
    i.fcr_7d, CASE WHEN i.fcr_7d IS NOT NULL THEN 1 END AS fcr_7d_of,
    CASE WHEN s.short OR s.user_hash IS NULL OR s.intent IS NULL THEN 1 ELSE 0 END AS fcr_7d_out,
    i.fcr_30d, CASE WHEN i.fcr_30d IS NOT NULL THEN 1 END AS fcr_30d_of,
    CASE WHEN s.short OR s.user_hash IS NULL OR s.intent IS NULL THEN 1 ELSE 0 END AS fcr_30d_out,
    CASE WHEN s.eligible THEN CASE WHEN s.escalated_by IS NULL AND s.outcome NOT IN ('abandoned', 'failed', 'escalated') THEN 1 ELSE 0 END END
        AS containment,
    CASE WHEN s.eligible THEN 1 END AS containment_of,
    CASE WHEN s.eligible THEN 0 ELSE 1 END AS containment_out,
    CASE WHEN s.eligible THEN CASE WHEN s.escalated_by IS NOT NULL THEN 1 ELSE 0 END END AS escalation_rate,
    CASE WHEN s.eligible THEN 1 END AS escalation_rate_of,
    CASE WHEN s.eligible THEN 0 ELSE 1 END AS escalation_rate_out,
    CASE WHEN NOT s.short THEN CASE WHEN s.outcome = 'abandoned' THEN 1 ELSE 0 END END AS abandonment_rate,
    CASE WHEN NOT s.short THEN 1 END AS abandonment_rate_of,
    CASE WHEN s.short THEN 1 ELSE 0 END AS abandonment_rate_out,
    CASE WHEN s.csat IS NOT NULL THEN CASE WHEN s.csat >= 4 THEN 1 ELSE 0 END END AS csat_share,
    CASE WHEN s.csat IS NOT NULL THEN 1 END AS csat_share_of,
    CASE WHEN s.csat IS NULL THEN 1 ELSE 0 END AS csat_share_out,
    s.csat AS csat_mean,
    CASE WHEN s.csat IS NOT NULL THEN 1 END AS csat_mean_of,
    CASE WHEN s.csat IS NULL THEN 1 ELSE 0 END AS csat_mean_out,
    CASE WHEN s.nps >= 9 THEN 1 WHEN s.nps <= 6 THEN -1 WHEN s.nps IS NOT NULL THEN 0 END AS nps,
    CASE WHEN s.nps IS NOT NULL THEN 1 END AS nps_of,
    CASE WHEN s.nps IS NULL THEN 1 ELSE 0 END AS nps_out,
    op.hits AS cache_hit_rate, op.lookups AS cache_hit_rate_of, 0 AS cache_hit_rate_out,
    CASE WHEN NOT coalesce(op.input_unknown, false) THEN op.input_tokens END AS input_tokens_per_session,
    CASE WHEN NOT coalesce(op.input_unknown, false) THEN 1 END AS input_tokens_per_session_of,
    CASE WHEN op.input_unknown THEN 1 ELSE 0 END AS input_tokens_per_session_out,
    CASE WHEN NOT coalesce(op.output_unknown, false) THEN op.output_tokens END AS output_tokens_per_session,
    CASE WHEN NOT coalesce(op.output_unknown, false) THEN 1 END AS output_tokens_per_session_of,
    CASE WHEN op.output_unknown THEN 1 ELSE 0 END AS output_tokens_per_session_out,
    CASE WHEN NOT coalesce(paid.cost_unknown, false) THEN paid.usd END AS cost_per_priced_session_usd,
    CASE WHEN NOT coalesce(paid.cost_unknown, false) THEN 1 END AS cost_per_priced_session_usd_of,
    CASE WHEN paid.cost_unknown THEN 1 ELSE 0 END AS cost_per_priced_session_usd_out,
    op.low_confidence AS low_confidence_rate, op.confident AS low_confidence_rate_of, op.classified - op.confident AS low_confidence_rate_out,
    op.fallbacks AS fallback_rate, op.classified AS fallback_rate_of, 0 AS fallback_rate_out
FROM s
LEFT JOIN tu ON tu.session_id = s.session_id
LEFT JOIN op ON op.session_id = s.session_id
LEFT JOIN paid ON paid.session_id = s.session_id
LEFT JOIN first_calls i ON i.session_id = s.session_id
