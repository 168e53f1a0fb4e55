-- traces: the session of each trace in which some spans carry no session id.
-- inputs: spans
-- grain: one row per such trace. Of several ids the smallest, so that every run picks the same.
SELECT trace_id, min(session_id) AS trace_session_id
FROM spans
WHERE trace_id IN (SELECT trace_id FROM spans WHERE session_id IS NULL)
GROUP BY trace_id
