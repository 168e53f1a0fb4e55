-- workflows: how many of those begun were brought to their end: a loan applied for, a payment plan kept.
-- inputs: events
-- grain: one row per workflow; null for events that name none.
-- completion_rate: numerator completed, denominator started. open: neither completed nor failed.
SELECT
    workflow, started, completed, failed,
    greatest(started - completed - failed, 0) AS open,
    sessions,
    CASE WHEN started > 0 THEN completed / started END AS completion_rate
FROM (
    SELECT
        workflow,
        count(CASE WHEN event = 'workflow_started' THEN 1 END) AS started,
        count(CASE WHEN event = 'workflow_completed' THEN 1 END) AS completed,
        count(CASE WHEN event = 'workflow_failed' THEN 1 END) AS failed,
        count(DISTINCT session_id) AS sessions
    FROM events
    WHERE event IN ('workflow_started', 'workflow_completed', 'workflow_failed')
    GROUP BY workflow
)
ORDER BY started DESC, workflow
