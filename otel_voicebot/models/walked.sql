-- walked: the pieces of each wait between its milestones: in three windows by walking back from their ends.
-- inputs: milestones
-- grain: one row per piece, of some length. stage: number of the stage that it is put down to, null of a hole.
-- Of the stages that had ended at a point the one that ended last owns from its start; one that still runs there is not what was
--   waited for. Two passes settle where each begins, the third cuts; any subset of the rows would give an exact partition.
-- win: 1 the decision to the model call (any work but TTS), 2 its first token to the text at TTS (what began since; what that leaves
--   is the call's own, while it writes), 3 the text to the TTS operation that spoke (attempts that failed).
-- open: the piece was a hole while the stage was open: a model call, or what encloses the one that fed the speech.
WITH windowed AS (
    SELECT *,
        CASE
            WHEN kind IN ('wait', 'endpointing', 'playout') OR hidden OR feeds THEN NULL
            WHEN outer_e IS NOT NULL THEN NULL
            WHEN kind = 'tts' THEN CASE WHEN failed THEN 3 END
            -- begun before the decision: speculation that came to nothing
            WHEN kind = 'llm' AND b < decided AND NOT failed AND (next_tool IS NULL OR next_llm < next_tool) THEN NULL
            -- its own time, not the milestone: of pre-emptive generation both lie before the decision
            WHEN llm_stage IS NOT NULL AND (b >= least(token, llm_token) OR (b >= least(token, llm_token) - tol AND e > token)) THEN 2
            WHEN llm_stage IS NOT NULL AND kind = 'stt' AND e > token AND e >= text - 20000000 - tol THEN 2
            ELSE 1
        END AS win
    FROM milestones
    WHERE kind <> 'wait'
),
candidates AS (
    SELECT wait, win, stage,
        CASE win WHEN 1 THEN decided WHEN 2 THEN token ELSE text END AS low,
        CASE win WHEN 1 THEN called WHEN 2 THEN text ELSE spoken END AS high,
        b,
        -- a call counts until the tool starts that it asked for
        CASE WHEN kind = 'llm' AND NOT feeds AND next_tool < e AND (next_llm IS NULL OR next_tool <= next_llm) THEN greatest(next_tool, b) ELSE e END AS e,
        e AS real_e, tol, CASE WHEN win = 2 AND first_text IS NOT NULL THEN llm_e END AS fill_e, llm_stage AS fill_stage,
        kind = 'llm' OR (win = 1 AND llm_stage IS NOT NULL AND b <= called AND e >= token) AS opens
    FROM windowed
    WHERE win IS NOT NULL
),
entered AS (
    SELECT wait, win, stage, low, high, greatest(b, low) AS b, e, real_e, tol, fill_e, fill_stage, opens
    FROM candidates
    WHERE high > low AND b < high AND e > low
    UNION ALL
    -- one at each window's start, for the hole before the first stage
    SELECT wait, win, NULL, low, high, low, low, low, 0, fill_e, fill_stage, false
    FROM (
        SELECT m.wait, n.win, CASE WHEN n.win = 2 AND m.first_text IS NOT NULL THEN m.llm_e END AS fill_e, m.llm_stage AS fill_stage,
            CASE n.win WHEN 1 THEN m.decided WHEN 2 THEN m.token ELSE m.text END AS low,
            CASE n.win WHEN 1 THEN m.called WHEN 2 THEN m.text ELSE m.spoken END AS high
        FROM milestones m
        CROSS JOIN (VALUES (1), (2), (3)) n(win)
        WHERE m.kind = 'wait'
    )
    WHERE high > low
),
first_pass AS (
    SELECT *, coalesce(min(CASE WHEN e <= high + tol THEN b END) OVER before, high) AS settled
    FROM entered
    WINDOW before AS (PARTITION BY wait, win ORDER BY e DESC, b, stage NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
second_pass AS (
    SELECT * EXCLUDE (settled),
        coalesce(min(CASE WHEN e <= settled + tol THEN b END) OVER before, high) AS settled,
        min(CASE WHEN opens THEN b END) OVER before AS open_b,
        min(CASE WHEN opens THEN stage END) OVER before AS open_stage
    FROM first_pass
    WINDOW before AS (PARTITION BY wait, win ORDER BY e DESC, b, stage NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
shifted AS (
    -- what seems to end a little after the point ran by another clock: it ended there, and took as long as it says
    SELECT * EXCLUDE (b), greatest(b - CASE WHEN lag > 5000000 AND lag < least(tol, settled - b) THEN lag ELSE 0 END, low) AS b
    FROM (SELECT *, real_e - settled AS lag FROM second_pass WHERE e <= settled + tol)
),
cut AS (
    SELECT *, coalesce(min(b) OVER before, high) AS point
    FROM shifted
    WINDOW before AS (PARTITION BY wait, win ORDER BY e DESC, b, stage NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
holes AS (
    -- behind each stage, up to the point where the next begins: what of it is an open stage's
    SELECT *,
        least(e, point) AS hole_b,
        CASE win WHEN 2 THEN CASE WHEN fill_e > least(e, point) THEN least(e, point) END ELSE CASE WHEN open_b < point THEN greatest(least(e, point), open_b) END END AS open_from,
        CASE win WHEN 2 THEN least(fill_e, point) ELSE point END AS open_to
    FROM cut
),
pieces AS (
    SELECT h.wait, h.win,
        CASE n.part WHEN 1 THEN h.stage WHEN 3 THEN CASE h.win WHEN 2 THEN h.fill_stage ELSE h.open_stage END END AS stage,
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
