-- speech: who talked, and how long nobody did, from the marks of speech on turns.
-- inputs: wide, traces, steps, sessions
-- grain: one row per bot: sums over its sessions; only turns with marks count.
-- caller_s, bot_s: from the first to the last mark of the caller, or the bot, in a turn: pauses between words are in it.
-- talk_ratio: numerator caller_s, denominator caller_s + bot_s.
-- call_s: length of these calls, start to end.
-- dead_air_s: silences of both of 3 s or more between two stretches of speech of a call; dead_air_share: numerator
--   dead_air_s, denominator call_s. Before the first word and after the last nothing counts;
--   hold and announced waits aren't marked in the spans, so they count too.
WITH marked AS (
    SELECT DISTINCT
        t.session_id, t.trace_id, t.span_id, w.user_speech_start_unix_nano AS u1, t.user_speech_end_unix_nano AS u2,
        t.bot_speech_start_unix_nano AS b1, w.bot_speech_end_unix_nano AS b2
    FROM steps t
    JOIN wide w ON w.span_id = t.span_id AND w.trace_id = t.trace_id
    WHERE t.component = 'turn' AND w.component = 'turn' AND t.session_id IN (SELECT session_id FROM sessions)
),
stretches AS (
    SELECT session_id, true AS caller, u1 AS b, u2 AS e FROM marked WHERE u2 >= u1
    UNION ALL
    SELECT session_id, false, b1, b2 FROM marked WHERE b2 >= b1
),
gaps AS (
    SELECT *, b - max(e) OVER (PARTITION BY session_id ORDER BY b, e ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS silent_nano
    FROM stretches
),
spoken AS (
    SELECT
        session_id,
        sum(CASE WHEN caller THEN e - b ELSE 0 END) / 1e9 AS caller_s,
        sum(CASE WHEN NOT caller THEN e - b ELSE 0 END) / 1e9 AS bot_s,
        count(CASE WHEN silent_nano >= 3000000000 THEN 1 END) AS dead_airs,
        coalesce(sum(CASE WHEN silent_nano >= 3000000000 THEN silent_nano END), 0) / 1e9 AS dead_air_s,
        max(silent_nano) / 1e9 AS longest_s
    FROM gaps
    GROUP BY session_id
)
SELECT
    s.bot, count(*) AS sessions, sum(p.caller_s) AS caller_s, sum(p.bot_s) AS bot_s,
    CASE WHEN sum(p.caller_s + p.bot_s) > 0 THEN sum(p.caller_s) / sum(p.caller_s + p.bot_s) END AS talk_ratio,
    sum(s.duration_s) AS call_s,
    sum(p.dead_airs)::BIGINT AS dead_airs, sum(p.dead_air_s) AS dead_air_s,
    CASE WHEN sum(s.duration_s) > 0 THEN sum(p.dead_air_s) / sum(s.duration_s) END AS dead_air_share,
    greatest(max(p.longest_s), 0) AS longest_silence_s
FROM spoken p
JOIN sessions s ON s.session_id = p.session_id
GROUP BY s.bot
ORDER BY sessions DESC, s.bot
