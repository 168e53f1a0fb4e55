-- journey: what happened in a call, step by step: filter it by session_id.
-- inputs: operations, turns, events, steps, sessions
-- grain: one row per classified intent, reply, event, failed operation and handoff. position: from 1, in time; after_s:
--   seconds since the call's start.
WITH happened AS (
    SELECT session_id, start_unix_nano AS at_nano, 'intent' AS kind, coalesce(intent, 'none') AS what, turn_index
    FROM operations WHERE component = 'nlu'
    UNION ALL
    SELECT session_id, start_unix_nano, 'error', component || coalesce(' ' || error_type, ''), turn_index
    FROM operations WHERE failed
    UNION ALL
    SELECT session_id, end_nano, CASE WHEN outcome = 'abandoned' THEN 'abandoned wait' ELSE 'answer' END, abandon_reason, turn_index
    FROM turns WHERE kind = 'exchange'
    UNION ALL
    SELECT session_id, at_nano, event, coalesce(workflow, prompt, entity), turn_index FROM events
    UNION ALL
    SELECT session_id, start_unix_nano, 'handoff', handoff_target, turn_index FROM steps
    WHERE component = 'handoff' AND session_id IN (SELECT session_id FROM sessions)
)
SELECT
    h.session_id, row_number() OVER (PARTITION BY h.session_id ORDER BY h.at_nano, h.kind, h.what) AS position,
    (h.at_nano - epoch_us(s.start_time) * 1000) / 1e9 AS after_s, h.kind, h.what, h.turn_index
FROM happened h
JOIN sessions s ON s.session_id = h.session_id
ORDER BY h.session_id, position
