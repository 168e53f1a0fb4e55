-- calls: sessions as the rates of a contact centre see them.
-- inputs: sessions
-- grain: one row per session.
-- short: abandoned before short_session_s. eligible: not short, and no planned handoff in it.
-- escalated: handed to a human unplanned, or its outcome says so. contained: eligible, no unplanned handoff to a human, and neither
--   abandoned nor failed nor escalated: a caller who hangs up in anger isn't contained.
SELECT *,
    outcome = 'abandoned' AND duration_s < getvariable('short_session_s') AS short,
    NOT (outcome = 'abandoned' AND duration_s < getvariable('short_session_s')) AND NOT planned_handoff AS eligible,
    escalated_by IS NOT NULL OR outcome = 'escalated' AS escalated,
    NOT (outcome = 'abandoned' AND duration_s < getvariable('short_session_s')) AND NOT planned_handoff
        AND escalated_by IS NULL AND outcome NOT IN ('abandoned', 'failed', 'escalated') AS contained
FROM sessions
