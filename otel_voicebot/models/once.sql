-- once: every span once; of a repeated one the copy that came in first.
-- inputs: spans, repeats
-- grain: one row per (trace_id, span_id).
SELECT s.* FROM spans s
WHERE NOT EXISTS (SELECT 1 FROM repeats r WHERE r.span_id = s.span_id AND r.trace_id = s.trace_id)
UNION ALL
SELECT * EXCLUDE (copy) FROM (
    SELECT s.*, row_number() OVER (PARTITION BY s.trace_id, s.span_id ORDER BY s.ingest_time, s.start_unix_nano) AS copy
    FROM spans s JOIN repeats r ON r.span_id = s.span_id AND r.trace_id = s.trace_id
)
WHERE copy = 1
