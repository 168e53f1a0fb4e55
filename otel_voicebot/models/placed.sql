-- placed: the turn of each span of a framework that doesn't number its turns on all of its spans.
-- inputs: framed, open_calls
-- grain: one row per (trace_id, span_id) that lies in a turn; the others have none.
-- A framework's turn is a turn span and what lies under it. Where the span never came its children have its id, and that
--   is enough; of a call under way (open_calls) it may still come, so those have no turn yet. Of LiveKit a turn is the caller's user_turn and the agent_turn that answers it, which are siblings: the
--   first that begins after the caller did and before the caller begins again; one that has a delay since the caller's
--   end of speech is preferred, as a greeting has none. An agent_turn that answers nobody is a turn of its own.
-- One turn may hold several exchanges: the caller speaks again after work on a reply has begun (Pipecat, when the reply
--   failed). Each is a row of turns. Clocks may be 100 ms apart.
-- turn_index: counts from 1 in the order of the starts; where the framework numbers each turn (Pipecat's number isn't the
--   exchange's), its number.
-- part: number of the exchange in its framework turn. present: the turn's own span came.
WITH RECURSIVE heads AS (
    SELECT trace_id, span_id, span_id AS head FROM framed WHERE heads
    UNION ALL
    SELECT o.trace_id, o.span_id, o.parent_span_id FROM framed o
    WHERE o.framework AND NOT o.heads AND o.component <> 'session' AND o.parent_span_id IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM open_calls c WHERE c.session_id = o.session_id)
        AND NOT EXISTS (SELECT 1 FROM framed p WHERE p.span_id = o.parent_span_id AND p.trace_id = o.trace_id)
        AND NOT EXISTS (SELECT 1 FROM framed p WHERE p.heads AND p.parent_span_id = o.parent_span_id AND p.trace_id = o.trace_id)
),
under AS (
    SELECT trace_id, span_id, head FROM heads
    UNION ALL
    SELECT c.trace_id, c.span_id, u.head
    FROM under u
    JOIN framed c ON c.parent_span_id = u.span_id AND c.trace_id = u.trace_id
    WHERE NOT c.heads AND c.component <> 'session'
),
units AS (
    -- LiveKit before 1.8 has an agent_turn for each model call: those of one reply share a key
    SELECT f.session_id, u.trace_id, u.head,
        coalesce(max(CASE WHEN f.span_id = u.head THEN f.exchange_key END), lower(hex(u.head))) AS unit,
        max(f.dialect) = 'livekit' AS siblings,
        bool_or(f.span_id = u.head) AS present,
        bool_or(f.span_id = u.head AND f.component = 'stt') AS caller,
        coalesce(min(CASE WHEN f.span_id = u.head THEN f.b END), min(f.b)) AS b,
        bool_or(f.span_id = u.head AND (f.reported_gap_s IS NOT NULL OR f.endpointing_delay_s IS NOT NULL)) AS answers
    FROM under u
    JOIN framed f ON f.span_id = u.span_id AND f.trace_id = u.trace_id
    GROUP BY f.session_id, u.trace_id, u.head
    HAVING present OR bool_or(f.operates OR f.component = 'playout')
),
speakers AS (
    SELECT session_id, unit, bool_or(caller) AS caller, bool_or(answers) AS answers, min(b) AS b
    FROM units
    WHERE siblings
    GROUP BY session_id, unit
),
asked AS (
    SELECT *, last_value(CASE WHEN caller THEN unit END IGNORE NULLS) OVER (PARTITION BY session_id ORDER BY b, caller, unit) AS asking
    FROM speakers
),
paired AS (
    SELECT session_id, unit, caller,
        CASE WHEN caller OR row_number() OVER (PARTITION BY session_id, asking, caller ORDER BY NOT answers, b, unit) = 1
            THEN coalesce(asking, unit) ELSE unit END AS frame
    FROM asked
),
staged AS (
    SELECT f.session_id, f.trace_id, f.span_id, f.heads, u.present, coalesce(p.frame, u.unit) AS frame,
        CASE WHEN f.dialect NOT IN ('pipecat', 'livekit') AND f.turn_index > 0 THEN f.turn_index END AS own,
        p.unit IS NULL AND f.component = 'stt' AND f.operates AS speaks,
        f.b - CASE WHEN f.component = 'stt' THEN 100000000 ELSE 0 END AS moment,
        CASE WHEN p.unit IS NOT NULL THEN NULL WHEN f.works THEN true WHEN f.component = 'stt' AND f.operates THEN false END AS works,
        CASE WHEN f.span_id = u.head THEN f.b END AS head_b,
        f.b
    FROM under n
    JOIN units u ON u.head = n.head AND u.trace_id = n.trace_id
    JOIN framed f ON f.span_id = n.span_id AND f.trace_id = n.trace_id
    LEFT JOIN paired p ON p.session_id = u.session_id AND p.unit = u.unit
),
again AS (
    SELECT *, speaks AND coalesce(
        last_value(works IGNORE NULLS) OVER (PARTITION BY session_id, frame ORDER BY moment, span_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
        false) AS cut
    FROM staged
),
parted AS (
    SELECT *,
        CASE WHEN heads THEN 0 ELSE count(CASE WHEN cut THEN 1 END) OVER (PARTITION BY session_id, frame ORDER BY moment, span_id ROWS UNBOUNDED PRECEDING) END AS part
    FROM again
),
begun AS (
    SELECT session_id, frame, part, bool_or(present) AS present, max(own) AS own,
        CASE WHEN part = 0 THEN coalesce(min(head_b), min(b)) ELSE min(b) END AS begin_nano
    FROM parted
    GROUP BY session_id, frame, part
),
numbered AS (
    SELECT *,
        CASE WHEN count(own) OVER w = count(*) OVER w AND max(part) OVER w = 0 THEN own
            ELSE row_number() OVER (PARTITION BY session_id ORDER BY begin_nano, frame, part) END::INTEGER AS turn_index
    FROM begun
    WINDOW w AS (PARTITION BY session_id)
),
moments AS (
    -- turns as they begin and handoffs beside them, in one sequence: joined by time each would meet every turn
    SELECT h.session_id, h.trace_id, h.span_id, h.b AS moment, true AS handed,
        NULL::INTEGER AS turn_index, NULL::VARCHAR AS frame, NULL::BIGINT AS part, NULL::BIGINT AS begin_nano, NULL::BOOLEAN AS present
    FROM framed h
    WHERE h.framework AND h.component = 'handoff'
        AND NOT EXISTS (SELECT 1 FROM under u WHERE u.span_id = h.span_id AND u.trace_id = h.trace_id)
    UNION ALL
    SELECT session_id, NULL, NULL, begin_nano, false, turn_index, frame, part, begin_nano, present FROM numbered
)
SELECT p.session_id, p.trace_id, p.span_id, n.turn_index, n.frame, n.part, n.begin_nano, n.present
FROM parted p
JOIN numbered n ON n.session_id = p.session_id AND n.frame = p.frame AND n.part = p.part
UNION ALL
-- a handoff stands beside the turns: it belongs to the one under way
SELECT session_id, trace_id, span_id, turn_index, frame, part, begin_nano, present FROM (
    SELECT session_id, trace_id, span_id, handed,
        last_value(turn_index IGNORE NULLS) OVER w AS turn_index,
        last_value(frame IGNORE NULLS) OVER w AS frame,
        last_value(part IGNORE NULLS) OVER w AS part,
        last_value(begin_nano IGNORE NULLS) OVER w AS begin_nano,
        last_value(present IGNORE NULLS) OVER w AS present
    FROM moments m
    WINDOW w AS (PARTITION BY m.session_id ORDER BY m.moment, m.handed, m.frame, m.part)
)
WHERE handed AND turn_index IS NOT NULL
