-- milestones: the times that cut each wait, and the stages that give them.
-- inputs: waits, stages
-- grain: one row per wait. Unix nanoseconds, each in the wait and not before the one before it.
-- decided (D): the bot may speak. called, token (L, F): start and first token of the model call that fed the speech. text (T): text
--   reaches TTS. spoken, audio (C, A): start and first audio of the TTS operation that was heard.
-- endpointing_stage, stt_stage, llm_stage, tts_stage: numbers of the stages that give them; null where nothing does.
-- llm_token, llm_e: the call's own first token and end, wherever they lie. failed_early: a model call failed before the decision.
-- is_decided: something tells D; else it is the start of the first stage. has_text: there is a TTS operation.
-- waited: end of the silence that a setting asked for. transcribed: the final transcript. by_client: a player's span gives t1.
-- tol: how far clocks may be apart, 5 ms where all of the wait's stages ran in the turn's process, else 100 ms.
WITH clocks AS (
    SELECT wait, CASE WHEN bool_and(own) THEN 5000000 ELSE 100000000 END AS tol
    FROM stages
    GROUP BY wait
),
told AS (
    SELECT s.*,
        s.kind = 'tts' AND NOT s.failed AND NOT s.hidden AND s.e > w.begin_nano
            AND coalesce(s.chunk > w.begin_nano AND (NOT w.answered OR s.chunk <= w.finish_nano + w.tol), true) AS may_speak,
        w.begin_nano, w.finish_nano, w.tol
    FROM stages s
    JOIN (SELECT w.wait, w.begin_nano, w.finish_nano, w.answered, c.tol FROM waits w JOIN clocks c ON c.wait = w.wait) w ON w.wait = s.wait
),
marked AS (
    -- stages are numbered by their start: the least number is the earliest
    SELECT wait,
        min(stage) AS first_stage,
        max(tol) AS tol,
        max(CASE WHEN kind = 'endpointing' THEN e END) AS ended,
        max(CASE WHEN kind = 'endpointing' THEN stage END) AS endpointing_stage,
        max(CASE WHEN kind = 'endpointing' THEN setting_ns END) AS setting_ns,
        max(CASE WHEN kind = 'stt' THEN e END) AS stt_e,
        max(CASE WHEN kind = 'stt' THEN stage END) AS stt_stage,
        min(CASE WHEN kind = 'tts' AND NOT hidden AND e > begin_nano THEN b END) AS first_text,
        min(CASE WHEN may_speak THEN stage END) AS tts_stage,
        arg_min_null(b, CASE WHEN may_speak THEN stage END) AS tts_b,
        arg_min_null(coalesce(chunk, finish_nano), CASE WHEN may_speak THEN stage END) AS tts_chunk,
        min(CASE
            WHEN kind IN ('endpointing', 'playout') OR hidden OR e <= begin_nano OR (kind = 'stt' AND b <= begin_nano) THEN NULL
            ELSE greatest(b, begin_nano)
        END) AS first_b,
        coalesce(bool_or(kind = 'playout' AND NOT own AND abs(b - finish_nano) <= tol), false) AS by_client
    FROM told
    GROUP BY wait
),
based AS (
    SELECT
        w.wait, w.answered, w.begin_nano, w.finish_nano, w.framework,
        m.first_stage, coalesce(m.tol, 5000000) AS tol, m.ended, m.endpointing_stage, m.stt_stage, m.tts_stage, m.tts_b, m.tts_chunk, coalesce(m.by_client, false) AS by_client,
        m.first_text IS NOT NULL AS has_text,
        coalesce(m.first_text, w.finish_nano) AS texted,
        coalesce(m.ended, w.decided_nano) IS NOT NULL AS is_decided,
        least(greatest(coalesce(m.ended, w.decided_nano, m.first_b, w.finish_nano), w.begin_nano), w.finish_nano) AS decided,
        -- the bot's own endpointing is the wait that was meant, unless its setting is known
        coalesce(w.begin_nano + coalesce(m.setting_ns, w.setting_ns), CASE WHEN w.framework IS NULL THEN m.ended END) AS waited,
        coalesce(w.transcribed_nano, m.stt_e) AS transcribed
    FROM waits w
    LEFT JOIN marked m ON m.wait = w.wait
),
tooled AS (
    SELECT s.wait,
        max(CASE WHEN s.kind IN ('tool', 'api') AND NOT s.hidden AND s.e <= w.texted THEN s.e END) AS tool_e,
        bool_or(s.kind = 'llm' AND s.failed AND s.e <= w.decided) AS failed_early
    FROM stages s
    JOIN based w ON w.wait = s.wait
    GROUP BY s.wait
),
calls AS (
    SELECT s.wait, s.stage, s.b, s.e, s.outer_e, w.texted, w.finish_nano, w.tts_chunk, t.tool_e,
        coalesce(s.chunk, greatest(s.b, least(s.e, w.texted))) AS token,
        -- of two calls at once the one that gave nothing lost
        s.chunk IS NOT NULL OR s.e <= w.texted + w.tol AS told
    FROM stages s
    JOIN based w ON w.wait = s.wait
    LEFT JOIN tooled t ON t.wait = s.wait
    WHERE s.kind = 'llm' AND NOT s.failed AND NOT s.hidden
        AND NOT (s.cancelled AND s.chunk IS NULL AND w.answered)  -- it was stopped before it gave anything
        AND (w.answered OR w.has_text)  -- of an abandoned wait without speech no call fed any
),
chosen AS (
    -- the call with the latest first token, of those that could have fed the speech: else of all
    SELECT wait, stage, b, e, token, row_number() OVER (PARTITION BY wait ORDER BY fits DESC, told DESC, token DESC, stage) AS place
    FROM (
        SELECT *, b <= texted AND (tool_e IS NULL OR token >= tool_e) AND (outer_e IS NULL OR outer_e >= texted) AS fits
        FROM calls
        WHERE token <= coalesce(tts_chunk, finish_nano)
    )
),
called AS (
    SELECT w.*, c.stage AS llm_stage, c.token AS llm_token, c.e AS llm_e, coalesce(t.failed_early, false) AS failed_early,
        least(greatest(coalesce(c.b, w.texted), w.decided), w.finish_nano) AS called
    FROM based w
    LEFT JOIN chosen c ON c.wait = w.wait AND c.place = 1
    LEFT JOIN tooled t ON t.wait = w.wait
),
written AS (
    SELECT *, least(greatest(coalesce(llm_token, texted), called), finish_nano) AS token
    FROM called
),
handed AS (
    SELECT *, least(greatest(texted, token), finish_nano) AS text
    FROM written
),
spoken AS (
    SELECT *, least(greatest(coalesce(tts_b, finish_nano), text), finish_nano) AS spoken
    FROM handed
)
SELECT
    wait, answered, begin_nano, finish_nano, tol, is_decided, has_text, waited, transcribed, by_client,
    first_stage, endpointing_stage, stt_stage, llm_stage, tts_stage, llm_token, llm_e, failed_early,
    decided, called, token, text, spoken,
    least(greatest(coalesce(tts_chunk, finish_nano), spoken), finish_nano) AS audio
FROM spoken
