-- repeats: spans that were delivered more than once (delivery is at-least-once).
-- inputs: spans
-- grain: one row per repeated (trace_id, span_id). Candidates are found by span id alone, which is cheap, then made exact.
SELECT trace_id, span_id
FROM spans
WHERE span_id IN (SELECT span_id FROM spans GROUP BY span_id HAVING count(*) > 1)
GROUP BY trace_id, span_id
HAVING count(*) > 1
