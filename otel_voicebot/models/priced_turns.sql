-- priced_turns: turns with what they cost.
-- inputs: turns, costs
-- grain: one row per (session_id, turn_index).
-- cost_usd: the sum over the turn's operations that have a price, USD; null where none has. What lies outside turns, and the
--   telephone line, is in the session's cost only.
WITH paid AS (
    SELECT session_id, turn_index, sum(cost_usd)::DOUBLE AS cost_usd
    FROM costs
    WHERE turn_index IS NOT NULL
    GROUP BY session_id, turn_index
)
SELECT t.*, p.cost_usd
FROM turns t
LEFT JOIN paid p ON p.session_id = t.session_id AND p.turn_index = t.turn_index
