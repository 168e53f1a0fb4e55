-- compliance: prompts that callers must hear, and how many did.
-- inputs: events, calls
-- grain: one row per (prompt, intent of the call); intent is null where a call has none.
-- delivered_rate: numerator calls in which the prompt was delivered; denominator calls of that intent, short ones left out.
WITH heard AS (
    SELECT e.prompt, e.session_id, count(*) AS deliveries
    FROM events e
    WHERE e.event = 'compliance_prompt'
    GROUP BY e.prompt, e.session_id
),
prompts AS (
    -- every prompt is owed to each intent in which it was heard at least once
    SELECT h.prompt, c.intent, sum(h.deliveries)::BIGINT AS deliveries, count(CASE WHEN NOT c.short THEN 1 END) AS sessions
    FROM heard h
    JOIN calls c ON c.session_id = h.session_id
    GROUP BY h.prompt, c.intent
),
owed AS (
    SELECT intent, count(*) AS sessions FROM calls WHERE NOT short GROUP BY intent
)
SELECT
    p.prompt, p.intent, p.deliveries, p.sessions AS delivered_sessions, o.sessions AS sessions,
    CASE WHEN o.sessions > 0 THEN p.sessions / o.sessions END AS delivered_rate
FROM prompts p
LEFT JOIN owed o ON o.intent IS NOT DISTINCT FROM p.intent
ORDER BY p.prompt, p.intent
