-- stages: what was at work on the reply of each wait.
-- inputs: steps, waits
-- grain: one row per span that began before the wait was over, and per tool that only shows between two model calls;
--   stage numbers them by wait and start, for this one query.
-- b, e: start and end, e never before b; a span without an end lasts as long as the wait. chunk: its first token or audio; null
--   where it is unknown, or lies outside the span. Unix nanoseconds.
-- hidden: marked as work that nobody waited for. outer_e: the end of the stage that holds it, null where none does.
-- own: the clock is the turn's.
-- cancelled: stopped before it was done. owner: service, tool, bot or framework.
-- LiveKit: a model call is its llm_node; TTS begins when the text reaches it, the wait's first audio less node_audio_s, and
--   where text was streamed to it the span doesn't tell its first audio.
WITH seen AS MATERIALIZED (
    SELECT
        w.wait, w.framework, w.siblings, w.begin_nano, w.finish_nano, w.answered, w.node_audio_s, w.transcribed_nano,
        s.trace_id, s.span_id, s.parent_span_id, s.name, s.provider, s.model, s.operation, s.after_tool, s.text_streamed,
        s.failed,
        CASE WHEN s.endpointing_setting_s BETWEEN 0 AND 60 THEN (s.endpointing_setting_s * 1e9)::BIGINT END AS setting_ns,
        CASE
            WHEN s.component <> 'other' THEN s.component
            WHEN s.name = 'llm_node' THEN 'llm'
            ELSE 'hook'
        END AS kind,
        s.start_unix_nano AS b,
        -- what is unfinished when a wait is given up ends there
        greatest(
            CASE WHEN w.answered OR s.end_unix_nano <= w.finish_nano THEN coalesce(s.end_unix_nano, w.finish_nano) ELSE w.finish_nano END,
            s.start_unix_nano
        ) AS e,
        CASE WHEN s.time_to_first_chunk_s BETWEEN 0 AND 86400 THEN s.start_unix_nano + (s.time_to_first_chunk_s * 1e9)::BIGINT END AS chunk,
        coalesce(s.background, false) AS hidden, coalesce(s.cancelled, false) AS cancelled,
        coalesce(s.service_instance, s.service_name) IS NOT DISTINCT FROM coalesce(w.process, s.service_instance, s.service_name) AS own
    FROM steps s
    JOIN waits w ON w.session_id = s.session_id AND w.turn_index = s.turn_index
    WHERE s.start_unix_nano < w.finish_nano + CASE WHEN s.component = 'playout' THEN 100000001 ELSE 0 END AND (
        s.operates
        OR s.component IN ('handoff', 'playout')
        OR (s.component = 'endpointing' AND coalesce(s.outcome, 'committed') = 'committed')
        OR (s.component = 'other' AND s.dialect = 'livekit' AND s.name IN ('llm_node', 'on_user_turn_completed'))
    )
),
timed AS (
    SELECT
        i.* EXCLUDE (b, e, chunk),
        CASE WHEN i.siblings AND i.kind = 'stt' THEN least(i.e, coalesce(i.transcribed_nano, i.b)) ELSE i.e END AS e,
        CASE WHEN i.siblings AND i.kind = 'tts' AND i.node_audio_s IS NOT NULL AND NOT i.failed
            THEN coalesce(CASE WHEN NOT i.text_streamed THEN i.chunk END, CASE WHEN i.answered THEN i.finish_nano END, i.b + (i.node_audio_s * 1e9)::BIGINT)
                - (i.node_audio_s * 1e9)::BIGINT
            ELSE i.b END AS b,
        CASE
            WHEN i.chunk > i.e + 1000000 THEN NULL
            WHEN i.siblings AND i.kind = 'tts' AND coalesce(i.text_streamed, true) THEN NULL
            WHEN i.chunk > i.e THEN i.e
            ELSE i.chunk
        END AS chunk,
        o.e AS outer_e
    FROM seen i
    LEFT JOIN seen o ON o.span_id = i.parent_span_id AND o.trace_id = i.trace_id AND o.wait = i.wait AND o.kind NOT IN ('endpointing', 'stt', 'playout')
    WHERE o.kind IS DISTINCT FROM i.kind
),
tools AS (
    -- the rest of a Pipecat reply between two model calls, of which the second was told what a tool had found
    SELECT * FROM (
        SELECT wait, framework, b AS e, after_tool,
            max(e) OVER (PARTITION BY wait ORDER BY b, span_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS b
        FROM seen
        WHERE framework = 'pipecat' AND kind = 'llm'
    )
    WHERE after_tool AND b < e
)
SELECT
    row_number() OVER (ORDER BY wait, b, span_id NULLS FIRST) AS stage, *
FROM (
    SELECT wait, kind, b, greatest(e, b) AS e, chunk, failed, hidden, cancelled, outer_e, own, setting_ns, span_id,
        CASE WHEN kind IN ('stt', 'llm', 'tts', 'nlu', 'rag') THEN provider END AS provider,
        CASE WHEN kind IN ('stt', 'llm', 'tts', 'nlu', 'rag') THEN model END AS model,
        CASE
            WHEN kind IN ('stt', 'llm', 'tts') OR (kind IN ('nlu', 'rag') AND coalesce(provider, model) IS NOT NULL)
                THEN coalesce(provider || '/' || model, provider, model, kind)
            WHEN kind IN ('tool', 'api') AND operation <> 'execute_tool' THEN operation
            WHEN kind IN ('cache', 'handoff') AND framework IS NOT NULL THEN framework
            ELSE 'bot code'
        END AS owner,
        CASE
            WHEN kind IN ('stt', 'llm', 'tts') OR (kind IN ('nlu', 'rag') AND coalesce(provider, model) IS NOT NULL) THEN 'service'
            WHEN kind IN ('tool', 'api') AND operation <> 'execute_tool' THEN 'tool'
            WHEN kind IN ('cache', 'handoff') AND framework IS NOT NULL THEN 'framework'
            ELSE 'bot'
        END AS owner_kind
    FROM timed
    UNION ALL
    SELECT wait, 'tool', b, e, NULL, false, false, false, NULL, true, NULL, NULL, NULL, NULL, 'bot code', 'bot'
    FROM tools
)
