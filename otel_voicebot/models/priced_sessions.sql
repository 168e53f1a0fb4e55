-- priced_sessions: calls with what they cost.
-- inputs: sessions, cost_by_session
-- grain: one row per session_id.
-- cost_usd, priced_share: as in cost_by_session.
SELECT s.*, c.cost_usd, c.priced_share
FROM sessions s
LEFT JOIN cost_by_session c ON c.session_id = s.session_id
