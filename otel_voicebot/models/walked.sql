-- walked: the pieces of each wait between its milestones: in three windows by walking back from their ends.
-- inputs: stages, milestones
-- grain: one row per piece, of some length. stage: number of the stage that it is put down to, null of a hole.
-- Of the stages that had ended at a point the one that ended last owns from its start; one that still runs there is not what was
--   waited for. Two passes settle where each begins, the third cuts; any subset of the rows would give an exact partition.
-- win: 1 the decision to the model call (any work but TTS), 2 its first token to the text at TTS (what began since, and the call
--   itself, while it writes), 3 the text to the TTS operation that spoke (attempts that failed).
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
        s.wait, s.stage, s.kind, s.b, s.tol, m.decided, m.called, m.token, m.text, m.spoken,
        coalesce(s.stage = m.llm_stage, false) AS feeds,
        -- a call counts until the tool starts that it asked for
        CASE WHEN a.next_tool < s.e AND s.stage IS DISTINCT FROM m.llm_stage THEN greatest(a.next_tool, s.b) ELSE s.e END AS e,
        s.kind = 'llm' OR (m.llm_stage IS NOT NULL AND s.b <= m.called AND s.e >= m.token) AS opens,
        CASE
            WHEN s.stage = m.llm_stage THEN CASE WHEN m.has_text THEN 2 END
            WHEN s.outer_e IS NOT NULL THEN NULL
            WHEN s.kind = 'tts' THEN CASE WHEN s.failed THEN 3 END
            -- begun before the decision: speculation that came to nothing
            WHEN s.kind = 'llm' AND s.b < m.decided AND NOT s.failed AND a.next_tool IS NULL THEN NULL
            WHEN m.llm_stage IS NOT NULL AND s.b >= m.token THEN 2
            WHEN m.llm_stage IS NOT NULL AND s.kind = 'stt' AND s.e > m.token AND s.e >= m.text - 20000000 - s.tol THEN 2
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
        CASE WHEN feeds THEN token ELSE b END AS b, e, tol, opens
    FROM windowed
    WHERE win IS NOT NULL
),
entered AS (
    SELECT wait, win, stage, low, high, greatest(b, low) AS b, e, tol, opens
    FROM candidates
    WHERE high > low AND b < high AND e > low
    UNION ALL
    -- one at each window's start, for the hole before the first stage
    SELECT wait, win, NULL, low, high, low, low, 0, false
    FROM (
        SELECT m.wait, n.win,
            CASE n.win WHEN 1 THEN m.decided WHEN 2 THEN m.token ELSE m.text END AS low,
            CASE n.win WHEN 1 THEN m.called WHEN 2 THEN m.text ELSE m.spoken END AS high
        FROM milestones m
        CROSS JOIN (VALUES (1), (2), (3)) n(win)
    )
    WHERE high > low
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
cut AS (
    SELECT *, coalesce(min(b) OVER before, high) AS point
    FROM second_pass
    WHERE e <= settled + tol
    WINDOW before AS (PARTITION BY wait, win ORDER BY e DESC, stage ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
pieces AS (
    -- each row: its own piece, the hole behind it, and what of the hole an open stage takes
    SELECT c.wait, c.win,
        CASE n.part WHEN 1 THEN c.stage WHEN 3 THEN c.open_stage END AS stage,
        n.part = 3 AS open,
        CASE n.part WHEN 1 THEN c.b WHEN 2 THEN least(c.e, c.point) ELSE greatest(c.e, c.open_b) END AS start_nano,
        CASE n.part WHEN 1 THEN least(c.e, c.point) WHEN 2 THEN greatest(least(c.e, c.point), least(c.point, coalesce(c.open_b, c.point))) ELSE c.point END AS end_nano
    FROM cut c
    CROSS JOIN (VALUES (1), (2), (3)) n(part)
    WHERE n.part < 3 OR c.open_b < c.point
)
SELECT wait, win, stage, open, start_nano, end_nano
FROM pieces
WHERE start_nano < end_nano
