-- milestones: the stages of each wait with the times that cut it, and one row of kind wait for the wait itself.
-- inputs: waits, stages
-- grain: one row per stage, and one per wait. Unix nanoseconds, each in the wait and not before the one before it.
-- decided (D): the bot may speak. called, token (L, F): start and first token of the model call that fed the speech. text (T): text
--   reaches TTS. spoken, audio (C, A): start and first audio of the TTS operation that was heard.
-- feeds: the row is that call. speaks: it is that operation. *_stage: number of the stage that gives the time; null where
--   nothing does. first_b: start of the first stage. tol: how far clocks may be apart, 5 ms within a process, 100 ms between two.
WITH found AS (
    SELECT
        w.wait, w.answered, w.begin_nano, w.finish_nano, w.decided_nano, w.siblings, w.framework,
        s.stage, s.kind, s.b, s.e, s.chunk, s.failed, s.hidden, s.cancelled, s.outer_e, s.setting_ns,
        CASE WHEN bool_and(s.own) OVER (PARTITION BY s.wait) THEN 5000000 ELSE 100000000 END AS tol,
        s.kind = 'tts' AND NOT s.failed AND NOT s.hidden AND s.e > w.begin_nano
            AND coalesce(s.chunk > w.begin_nano AND (NOT w.answered OR s.chunk <= w.finish_nano + CASE WHEN s.own THEN 5000000 ELSE 100000000 END), true) AS may_speak
    FROM stages s
    JOIN waits w ON w.wait = s.wait
    UNION ALL
    SELECT wait, answered, begin_nano, finish_nano, decided_nano, siblings, framework,
        NULL, 'wait', begin_nano, begin_nano, NULL, false, true, false, NULL, NULL, 0, false
    FROM waits
),
ranked AS (
    SELECT *,
        row_number() OVER (
            PARTITION BY wait, kind ORDER BY CASE WHEN kind = 'tts' AND NOT may_speak THEN 1 ELSE 0 END, CASE WHEN kind = 'tts' THEN b ELSE -e END, stage
        ) = 1 AS best,
        max(CASE WHEN kind = 'endpointing' THEN e END) OVER every AS ended,
        max(setting_ns) OVER every AS setting_ns,
        min(CASE WHEN kind = 'tts' AND e > begin_nano THEN b END) OVER every AS first_text,
        min(CASE
            WHEN kind IN ('wait', 'endpointing', 'playout') OR hidden OR e <= begin_nano OR (kind = 'stt' AND b <= begin_nano) THEN NULL
            ELSE greatest(b, begin_nano)
        END) OVER every AS first_b,
        min(CASE WHEN kind = 'tool' THEN b END) OVER later AS next_tool,
        min(CASE WHEN kind = 'llm' THEN b END) OVER later AS next_llm
    FROM found
    WINDOW every AS (PARTITION BY wait ORDER BY b, stage ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING),
        later AS (PARTITION BY wait ORDER BY b, stage ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
),
heard AS (
    SELECT *,
        coalesce(ended, decided_nano) IS NOT NULL AS is_decided,
        least(greatest(coalesce(ended, decided_nano, first_b, finish_nano), begin_nano), finish_nano) AS decided,
        coalesce(first_text, finish_nano) AS texted,
        max(CASE WHEN kind = 'endpointing' AND best THEN stage END) OVER every AS endpointing_stage,
        max(CASE WHEN kind = 'stt' AND best THEN stage END) OVER every AS stt_stage,
        max(CASE WHEN kind = 'stt' AND best THEN e END) OVER every AS stt_e,
        max(CASE WHEN best AND may_speak THEN stage END) OVER every AS tts_stage,
        max(CASE WHEN best AND may_speak THEN b END) OVER every AS tts_b,
        max(CASE WHEN best AND may_speak THEN coalesce(chunk, finish_nano) END) OVER every AS tts_chunk,
        max(CASE WHEN kind IN ('tool', 'api') AND NOT hidden AND e <= coalesce(first_text, finish_nano) THEN e END) OVER every AS tool_e,
        max(CASE WHEN kind = 'playout' AND tol > 5000000 AND abs(b - finish_nano) <= tol THEN 1 ELSE 0 END) OVER every = 1 AS by_client
    FROM ranked
    WINDOW every AS (PARTITION BY wait)
),
calls AS (
    SELECT *,
        -- of an abandoned wait without speech no call fed any
        CASE
            WHEN kind <> 'llm' OR failed OR hidden OR (cancelled AND chunk IS NULL AND answered) OR (NOT answered AND first_text IS NULL)
                OR coalesce(chunk, greatest(b, least(e, texted))) > coalesce(tts_chunk, finish_nano) THEN 2
            WHEN b <= texted AND coalesce(chunk, greatest(b, least(e, texted))) >= coalesce(tool_e, begin_nano - 86400000000000)
                AND (outer_e IS NULL OR outer_e >= texted) THEN 0
            ELSE 1
        END AS doubt,
        coalesce(chunk, greatest(b, least(e, texted))) AS first_token
    FROM heard
),
chosen AS (
    SELECT *,
        doubt < 2 AND row_number() OVER (PARTITION BY wait, kind ORDER BY doubt, first_token DESC, b, stage) = 1 AS feeds
    FROM calls
),
fed AS (
    SELECT *,
        max(CASE WHEN feeds THEN stage END) OVER every AS llm_stage,
        max(CASE WHEN feeds THEN b END) OVER every AS llm_b,
        max(CASE WHEN feeds THEN first_token END) OVER every AS llm_token,
        max(CASE WHEN feeds THEN e END) OVER every AS llm_e,
        max(CASE WHEN kind = 'llm' AND failed AND e <= decided THEN 1 ELSE 0 END) OVER every = 1 AS failed_early
    FROM chosen
    WINDOW every AS (PARTITION BY wait)
),
called AS (
    SELECT *, least(greatest(coalesce(llm_b, texted), decided), finish_nano) AS called
    FROM fed
),
token AS (
    SELECT *, least(greatest(coalesce(llm_token, texted), called), finish_nano) AS token
    FROM called
),
text AS (
    SELECT *, least(greatest(texted, token), finish_nano) AS text
    FROM token
),
spoken AS (
    SELECT *, least(greatest(coalesce(tts_b, finish_nano), text), finish_nano) AS spoken
    FROM text
)
SELECT
    wait, answered, begin_nano, finish_nano, siblings, framework, stage, kind, b, e, chunk, failed, hidden, outer_e, tol,
    is_decided, ended, setting_ns, first_text, next_tool, next_llm, stt_e, endpointing_stage, stt_stage, llm_stage, tts_stage, by_client,
    llm_token, llm_e, failed_early, feeds, coalesce(stage = tts_stage, false) AS speaks,
    decided, called, token, text, spoken,
    least(greatest(coalesce(tts_chunk, finish_nano), spoken), finish_nano) AS audio
FROM spoken
