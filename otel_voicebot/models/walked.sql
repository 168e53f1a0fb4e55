-- walked: the pieces of each wait between its milestones: in three windows by walking back from their ends.
-- inputs: stages, milestones
-- grain: one row per piece, of some length. stage: number of the stage that it is put down to, null of a hole.
-- Of the stages that had ended at a point the one that ended last owns from its start; one that still runs there is not what was
--   waited for. Two passes settle where each begins, the third cuts; any subset of the rows would give an exact partition.
-- win: 1 the decision to the model call (any work but TTS), 2 its first token to the text at TTS (what began since; what that leaves
--   is the call's own, while it writes), 3 the text to the TTS operation that spoke (attempts that failed).
-- A wait's first 1,000 stages count: the passes take quadratic time where the live state runs them.
-- open: the piece was a hole while the stage was open: a model call, or what encloses the one that fed the speech.
WITH asked AS (
    -- the tool that a model call asked for: the next, unless another call begins before
    SELECT stage, next_tool
    FROM (
        SELECT stage, kind,
            lead(CASE WHEN kind = 'tool' THEN b END IGNORE NULLS) OVER along AS next_tool,
            lead(CASE WHEN kind = 'llm' THEN b END IGNORE NULLS) OVER along AS next_llm
        FROM stages
        WHERE kind IN ('llm', 'tool')
        WINDOW along AS (PARTITION BY wait ORDER BY stage)
    )
    WHERE kind = 'llm' AND (next_llm IS NULL OR next_tool <= next_llm)
),
windowed AS (
    SELECT
        s.wait, s.stage, s.kind, s.b, s.e AS real_e, m.tol, m.decided, m.called, m.token, m.text, m.spoken, m.has_text, m.llm_stage, m.llm_e,
        -- a call counts until the tool starts that it asked for
        CASE WHEN a.next_tool < s.e THEN greatest(a.next_tool, s.b) ELSE s.e END AS e,
        s.kind = 'llm' OR (m.llm_stage IS NOT NULL AND s.b <= m.called AND s.e >= m.token) AS opens,
        CASE
            WHEN s.stage = m.llm_stage OR s.outer_e IS NOT NULL THEN NULL
            WHEN s.kind = 'tts' THEN CASE WHEN s.failed THEN 3 END
            -- begun before the decision: speculation that came to nothing
            WHEN s.kind = 'llm' AND s.b < m.decided AND NOT s.failed AND a.next_tool IS NULL THEN NULL
            -- its own time, not the milestone: of pre-emptive generation both lie before the decision
            WHEN s.b >= least(m.token, m.llm_token) - CASE WHEN s.e > m.token THEN m.tol ELSE 0 END AND m.llm_stage IS NOT NULL THEN 2
            WHEN m.llm_stage IS NOT NULL AND s.kind = 'stt' AND s.e > m.token AND s.e >= m.text - 20000000 - m.tol THEN 2
            ELSE 1
        END AS win
    FROM stages s
    JOIN milestones m ON m.wait = s.wait
    LEFT JOIN asked a ON a.stage = s.stage
    WHERE s.kind NOT IN ('endpointing', 'playout') AND NOT s.hidden AND s.stage < m.first_stage + 1000
),
candidates AS (
    SELECT wait, win, stage,
        CASE win WHEN 1 THEN decided WHEN 2 THEN token ELSE text END AS low,
        CASE win WHEN 1 THEN called WHEN 2 THEN text ELSE spoken END AS high,
        b, e, real_e, tol, opens, CASE WHEN win = 2 AND has_text THEN llm_e END AS fill_e, llm_stage
    FROM windowed
    WHERE win IS NOT NULL
),
entered AS (
    SELECT wait, win, stage, low, high, greatest(b, low) AS b, e, real_e, tol, opens, fill_e, llm_stage
    FROM candidates
    WHERE high > low AND b < high AND e > low
),
first_pass AS (
    SELECT *, coalesce(min(CASE WHEN e <= high + tol THEN b END) OVER before, high) AS settled
    FROM entered
    WINDOW before AS (PARTITION BY wait, win ORDER BY e DESC, stage ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
second_pass AS (
    SELECT * EXCLUDE (settled),
        coalesce(min(CASE WHEN e <= settled + tol THEN b END) OVER before, high) AS settled,
        min(CASE WHEN opens THEN b END) OVER before AS open_b,
        min(CASE WHEN opens THEN stage END) OVER before AS open_stage
    FROM first_pass
    WINDOW before AS (PARTITION BY wait, win ORDER BY e DESC, stage ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
shifted AS MATERIALIZED (
    -- what seems to end a little after the point ran by another clock: it ended there, and took as long as it says;
    -- b is null where it had not ended
    SELECT * EXCLUDE (b), b AS own_b,
        CASE WHEN e <= settled + tol THEN greatest(b - CASE WHEN lag > 5000000 AND lag < least(tol, settled - b) THEN lag ELSE 0 END, low) END AS b
    FROM (SELECT *, real_e - settled AS lag FROM second_pass)
),
windows AS (
    SELECT wait, win, low, high, fill_e, llm_stage
    FROM (
        SELECT m.wait, n.win, m.llm_stage, CASE WHEN n.win = 2 AND m.has_text THEN m.llm_e END AS fill_e,
            CASE n.win WHEN 1 THEN m.decided WHEN 2 THEN m.token ELSE m.text END AS low,
            CASE n.win WHEN 1 THEN m.called WHEN 2 THEN m.text ELSE m.spoken END AS high
        FROM milestones m
        CROSS JOIN (VALUES (1), (2), (3)) n(win)
    )
    WHERE high > low
),
firsts AS (
    SELECT wait, win, min(b) AS point, min(CASE WHEN opens THEN own_b END) AS open_b, min(CASE WHEN opens THEN stage END) AS open_stage
    FROM shifted
    GROUP BY wait, win
),
cut AS (
    SELECT wait, win, stage, b, e, fill_e, llm_stage, open_b, open_stage, coalesce(min(b) OVER before, high) AS point
    FROM shifted
    WHERE b IS NOT NULL
    WINDOW before AS (PARTITION BY wait, win ORDER BY e DESC, stage ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    UNION ALL
    -- one at each window's start, for the hole before the first stage
    SELECT w.wait, w.win, NULL, w.low, w.low, w.fill_e, w.llm_stage, f.open_b, f.open_stage, coalesce(f.point, w.high)
    FROM windows w
    LEFT JOIN firsts f ON f.wait = w.wait AND f.win = w.win
),
holes AS (
    -- behind each stage, up to the point where the next begins: what of it is an open stage's
    SELECT wait, win, stage, b, point,
        least(e, point) AS hole_b,
        CASE win WHEN 2 THEN llm_stage ELSE open_stage END AS open_stage,
        CASE
            WHEN win = 2 THEN CASE WHEN fill_e > least(e, point) THEN least(e, point) END
            WHEN open_b < point THEN greatest(least(e, point), open_b)
        END AS open_from,
        CASE win WHEN 2 THEN least(fill_e, point) ELSE point END AS open_to
    FROM cut
),
pieces AS (
    SELECT h.wait, h.win,
        CASE n.part WHEN 1 THEN h.stage WHEN 3 THEN h.open_stage END AS stage,
        n.part = 3 AS open,
        CASE n.part WHEN 1 THEN h.b WHEN 2 THEN h.hole_b WHEN 3 THEN h.open_from ELSE h.open_to END AS start_nano,
        CASE n.part WHEN 1 THEN h.hole_b WHEN 2 THEN coalesce(h.open_from, h.point) WHEN 3 THEN h.open_to ELSE h.point END AS end_nano
    FROM holes h
    CROSS JOIN (VALUES (1), (2), (3), (4)) n(part)
    WHERE n.part < 3 OR h.open_from IS NOT NULL
)
SELECT wait, win, stage, open, start_nano, end_nano
FROM pieces
WHERE start_nano < end_nano
