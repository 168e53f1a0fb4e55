-- nested: operations inside an operation of the same component (a retry's attempts, an instrumented client): the outer one counts.
-- Only within one turn, or both outside turns: a recogniser that runs all call long is no retry of what it does in a turn.
-- inputs: spans
-- grain: one row per nested (trace_id, span_id).
SELECT DISTINCT inside.trace_id, inside.span_id, true AS nested
FROM spans inside
JOIN spans outside
    ON outside.span_id = inside.parent_span_id
    AND outside.trace_id = inside.trace_id
    AND outside.component = inside.component
    AND outside.turn_index IS NOT DISTINCT FROM inside.turn_index
WHERE inside.component IN ('stt', 'llm', 'tts', 'nlu', 'rag', 'tool', 'cache', 'api')
    AND outside.component IN ('stt', 'llm', 'tts', 'nlu', 'rag', 'tool', 'cache', 'api')
