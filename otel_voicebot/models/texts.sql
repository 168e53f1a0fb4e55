-- texts: what recognition heard and synthesis said in a turn, put together; only where content was stored.
-- inputs: steps
-- grain: one row per (session_id, turn_index) with such a text. A model of its own, as ordering texts costs a third of
--   the turns, and mostly there are none.
SELECT
    session_id, turn_index,
    string_agg(CASE WHEN component = 'stt' THEN user_text END, ' ' ORDER BY start_unix_nano, span_id) AS heard,
    string_agg(CASE WHEN component = 'tts' THEN bot_text END, ' ' ORDER BY start_unix_nano, span_id) AS said,
    string_agg(CASE WHEN component = 'llm' THEN bot_text END, ' ' ORDER BY start_unix_nano, span_id) AS written
FROM steps
WHERE operates AND turn_index IS NOT NULL AND (user_text IS NOT NULL OR bot_text IS NOT NULL)
GROUP BY session_id, turn_index
