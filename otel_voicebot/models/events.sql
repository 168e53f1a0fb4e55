-- events: what bots tell by events: workflows, compliance prompts, messages, entities and their own.
-- inputs: wide, traces, sessions
-- grain: one row per event on a span; the same span delivered twice counts once. event: its name without the prefix.
-- session_id: as in steps. turn_index: the span's own.
WITH told AS (
    SELECT trace_id, span_id, session_id, turn_index, unnest(events) AS event, generate_subscripts(events, 1) AS position
    FROM wide
    WHERE tracked_events > 0
),
named AS (
    SELECT DISTINCT
        trace_id, span_id, position, session_id, turn_index, event.unix_nano AS at_nano,
        substr(event.name, 1 + length('{event_prefix}')) AS event,
        json_extract_string(event.attributes, '$."{workflow}"') AS workflow,
        json_extract_string(event.attributes, '$."{compliance_prompt}"') AS prompt,
        json_extract_string(event.attributes, '$."{entity}"') AS entity
    FROM told
    WHERE event.name LIKE '{event_prefix}%'
),
placed AS (
    SELECT coalesce(n.session_id, t.trace_session_id, lower(hex(n.trace_id))) AS session_id, n.* EXCLUDE (trace_id, span_id, position, session_id)
    FROM named n
    LEFT JOIN traces t ON t.trace_id = n.trace_id
)
SELECT session_id, CASE WHEN turn_index > 0 THEN turn_index END AS turn_index, at_nano, event, workflow, prompt, entity
FROM placed
WHERE session_id IN (SELECT session_id FROM sessions)
