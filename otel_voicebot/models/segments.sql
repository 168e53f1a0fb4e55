-- segments: what each wait was spent on.
-- inputs: waits, stages, milestones, walked
-- grain: one row per segment of an exchange, from position 1 at the caller's end of speech to the first bot audio, or to when the
--   wait was given up: contiguous, never empty, so their lengths add up to the wait.
-- wait: its number among those that are cut together. owner: a service (provider/model), a setting, a tool, the bot's code, the framework, transport or network; null where nobody
--   is known (unattributed). detail: of a hole, the stages before and after it.
-- A hole of at most 100 ms is orchestration, and so is any pause between a call that failed and the next of its kind.
WITH tailed AS (
    SELECT *,
        -- the transcript that the decision had to wait for: what lies behind the wait that was meant; where nobody knows that, all of it,
        -- if the decision came right after it: within a twentieth of the time up to it, at least 20 ms (a busy machine needs them), at most 100
        CASE WHEN waited IS NOT NULL THEN least(greatest(waited, begin_nano), decided) ELSE begin_nano END AS tail_b,
        CASE WHEN is_decided AND transcribed IS NOT NULL AND (waited IS NOT NULL OR transcribed >= decided - least(greatest(20000000, (decided - begin_nano) // 20), 100000000))
            THEN least(transcribed, decided) END AS tail_e
    FROM milestones
),
fixed AS (
    SELECT wait, part,
        CASE part
            WHEN 1 THEN endpointing_stage WHEN 2 THEN stt_stage WHEN 3 THEN endpointing_stage WHEN 4 THEN llm_stage WHEN 5 THEN tts_stage
        END AS stage,
        CASE part WHEN 1 THEN begin_nano WHEN 2 THEN tail_b WHEN 3 THEN tail_e WHEN 4 THEN called WHEN 5 THEN spoken ELSE audio END AS start_nano,
        CASE part
            WHEN 1 THEN CASE WHEN tail_e > tail_b THEN tail_b ELSE decided END
            WHEN 2 THEN tail_e
            WHEN 3 THEN CASE WHEN tail_e > tail_b THEN decided END
            WHEN 4 THEN CASE WHEN llm_stage IS NOT NULL THEN token END
            WHEN 5 THEN audio
            ELSE finish_nano
        END AS end_nano,
        CASE part
            WHEN 1 THEN CASE WHEN is_decided THEN 'endpointing' END
            WHEN 2 THEN 'stt'
            WHEN 3 THEN 'endpointing'
            WHEN 6 THEN 'playout'
        END AS kind
    FROM tailed
    CROSS JOIN (VALUES (1), (2), (3), (4), (5), (6)) n(part)
),
pieces AS (
    SELECT wait, start_nano, end_nano, stage, part, kind FROM fixed WHERE start_nano < end_nano
    UNION ALL
    SELECT wait, start_nano, end_nano, stage, 10 + win, NULL FROM walked
),
named AS (
    SELECT p.wait, p.part, p.start_nano, p.end_nano, coalesce(p.kind, s.kind) AS kind,
        s.failed, s.span_id, s.provider, s.model, s.owner, s.owner_kind,
        CASE WHEN s.kind = 'llm' AND p.part > 10 AND NOT s.failed THEN s.chunk END AS chunk
    FROM pieces p
    LEFT JOIN stages s ON s.stage = p.stage
),
halved AS (
    -- a model call of an earlier round: to its first token, and on to the tool that it asked for
    SELECT n.* EXCLUDE (start_nano, end_nano, chunk),
        CASE h.half WHEN 1 THEN n.start_nano ELSE n.chunk END AS start_nano,
        CASE WHEN h.half = 1 AND n.part = 11 AND n.chunk > n.start_nano AND n.chunk < n.end_nano THEN n.chunk ELSE n.end_nano END AS end_nano,
        coalesce(n.part = 12 OR h.half = 2 OR n.chunk <= n.start_nano, false) AS written
    FROM named n
    CROSS JOIN (VALUES (1), (2)) h(half)
    WHERE h.half = 1 OR (n.part = 11 AND n.chunk > n.start_nano AND n.chunk < n.end_nano)
),
around AS (
    SELECT *,
        row_number() OVER along AS position,
        -- two holes may meet
        coalesce(lag(kind) OVER along, lag(kind, 2) OVER along) AS before,
        coalesce(lead(kind) OVER along, lead(kind, 2) OVER along) AS behind,
        lag(failed) OVER along AS before_failed
    FROM halved
    WINDOW along AS (PARTITION BY wait ORDER BY start_nano)
),
judged_holes AS (
    SELECT a.*, w.session_id, w.turn_index, w.framework, w.setting_name, m.by_client,
        CASE
            WHEN a.kind IN ('endpointing', 'nlu', 'rag', 'tool') THEN a.kind
            WHEN a.kind = 'stt' THEN 'stt_tail'
            WHEN a.kind = 'api' THEN 'tool'
            WHEN a.kind = 'tts' THEN 'tts_first_audio'
            WHEN a.kind = 'llm' THEN CASE WHEN a.written THEN 'llm_speakable' ELSE 'llm_first_token' END
            WHEN a.kind = 'playout' THEN 'playout_start'
            WHEN a.kind IN ('cache', 'handoff', 'hook') THEN 'orchestration'
            WHEN a.part = 1 THEN 'unattributed'
            WHEN m.failed_early AND a.start_nano = m.decided AND a.behind = 'llm' THEN 'orchestration'
            WHEN a.before_failed AND a.before = a.behind AND a.before IN ('llm', 'tts') THEN 'orchestration'
            WHEN NOT w.answered AND a.end_nano = w.finish_nano THEN 'unattributed'
            WHEN NOT m.has_text AND m.llm_stage IS NOT NULL AND a.start_nano >= m.token THEN 'unattributed'
            WHEN a.end_nano - a.start_nano <= 100000000 THEN 'orchestration'
            ELSE 'unattributed'
        END AS named_segment
    FROM around a
    JOIN waits w ON w.wait = a.wait
    JOIN milestones m ON m.wait = a.wait
)
SELECT
    wait, session_id, turn_index, position::INTEGER AS position,
    named_segment AS segment,
    CASE
        WHEN kind = 'endpointing' THEN setting_name
        WHEN kind = 'playout' THEN CASE WHEN by_client THEN 'network' ELSE 'transport' END
        WHEN kind = 'stt' THEN coalesce(owner, 'stt')
        WHEN kind IS NOT NULL THEN owner
        WHEN named_segment = 'orchestration' THEN coalesce(framework, 'bot code')
    END AS owner,
    CASE
        WHEN kind = 'endpointing' THEN 'setting'
        WHEN kind = 'playout' THEN CASE WHEN by_client THEN 'network' ELSE 'transport' END
        WHEN kind = 'stt' THEN 'service'
        WHEN kind IS NOT NULL THEN owner_kind
        WHEN named_segment = 'orchestration' THEN CASE WHEN framework IS NULL THEN 'bot' ELSE 'framework' END
    END AS owner_kind,
    provider, model, span_id, start_nano, end_nano,
    CASE
        WHEN kind IS NULL OR (kind = 'tool' AND span_id IS NULL) THEN
            CASE WHEN before IS NULL THEN 'before ' || behind
                ELSE coalesce('after ' || before || ', before ' || behind, 'after ' || before) END
    END AS detail
FROM judged_holes
