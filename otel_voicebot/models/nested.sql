-- nested: operations inside an operation of the same component (a retry's attempts, an instrumented client): the outer one counts.
-- Between the two may lie up to eight spans of component other, as a framework's chains; they are climbed two, four, eight at a time.
-- Only within one turn, or all outside turns: a recogniser that runs all call long is no retry of what it does in a turn.
-- inputs: spans
-- grain: one row per nested (trace_id, span_id). outer_id: the operation right around it, which may be nested, too.
WITH others AS MATERIALIZED (
    -- one parent each: copies of a span that a sender made up would multiply
    SELECT trace_id, span_id, min(parent_span_id) AS above, min(turn_index) AS turn_index
    FROM spans
    WHERE component = 'other' AND parent_span_id IS NOT NULL
    GROUP BY trace_id, span_id
),
twos AS MATERIALIZED (
    SELECT o.trace_id, o.span_id, coalesce(p.above, o.above) AS above, o.turn_index
    FROM others o
    LEFT JOIN others p ON p.span_id = o.above AND p.trace_id = o.trace_id AND p.turn_index IS NOT DISTINCT FROM o.turn_index
),
fours AS MATERIALIZED (
    SELECT o.trace_id, o.span_id, coalesce(p.above, o.above) AS above, o.turn_index
    FROM twos o
    LEFT JOIN twos p ON p.span_id = o.above AND p.trace_id = o.trace_id AND p.turn_index IS NOT DISTINCT FROM o.turn_index
),
eights AS (
    SELECT o.trace_id, o.span_id, coalesce(p.above, o.above) AS above, o.turn_index
    FROM fours o
    LEFT JOIN fours p ON p.span_id = o.above AND p.trace_id = o.trace_id AND p.turn_index IS NOT DISTINCT FROM o.turn_index
)
SELECT inside.trace_id, inside.span_id, min(outside.span_id) AS outer_id, true AS nested
FROM spans inside
LEFT JOIN eights e
    ON e.span_id = inside.parent_span_id
    AND e.trace_id = inside.trace_id
    AND e.turn_index IS NOT DISTINCT FROM inside.turn_index
JOIN spans outside
    ON outside.span_id = coalesce(e.above, inside.parent_span_id)
    AND outside.trace_id = inside.trace_id
    AND outside.component = inside.component
    AND outside.turn_index IS NOT DISTINCT FROM inside.turn_index
WHERE inside.component IN ({operations})
    AND outside.component IN ({operations})
GROUP BY inside.trace_id, inside.span_id
