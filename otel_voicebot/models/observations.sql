-- observations: everything that may become slow, fail or grow dear, each with the series that it belongs to.
-- inputs: operations, turns, costs, cost_by_session, sessions
-- grain: one row per (measure, operation), of response_gap_s and transcription_delay_s per exchange, of session_cost_usd per session.
-- A series is (measure, bot, component, provider, model, agent, decision); what a measure isn't told by is null.
-- value: seconds; USD; of error_rate 1 where the operation failed, else 0. Of a tool or an API the provider is its name, as in services.
-- Left out: broken durations, operations and sessions that cost nothing or have no price. waited: the caller waits for all of the value.
WITH done AS (
    SELECT *, CASE WHEN component IN ('tool', 'api') THEN coalesce(operation, provider) ELSE provider END AS service
    FROM operations
)
SELECT 'duration_s' AS measure, bot, component, service AS provider, model, NULL::VARCHAR AS agent, NULL::VARCHAR AS decision,
    session_id, turn_index, start_unix_nano AS start_nano, duration_s AS value, error_type,
    component IN ('nlu', 'rag', 'tool', 'cache', 'api') AS waited
FROM done
WHERE duration_s IS NOT NULL
UNION ALL
SELECT 'first_chunk_s', bot, component, service, model, NULL, NULL,
    session_id, turn_index, start_unix_nano, time_to_first_chunk_s, error_type, true
FROM done
WHERE time_to_first_chunk_s IS NOT NULL
UNION ALL
SELECT 'error_rate', bot, component, service, model, NULL, NULL,
    session_id, turn_index, start_unix_nano, CASE WHEN failed THEN 1.0 ELSE 0.0 END, error_type, false
FROM done
UNION ALL
SELECT 'transcription_delay_s', bot, 'stt', stt_provider, stt_model, NULL, NULL,
    session_id, turn_index, start_nano, transcription_delay_s, NULL, true
FROM turns
WHERE transcription_delay_s IS NOT NULL
UNION ALL
SELECT 'response_gap_s', bot, NULL, NULL, NULL, NULL, NULL,
    session_id, turn_index, start_nano, response_gap_s, error_type, true
FROM turns
WHERE response_gap_s IS NOT NULL
UNION ALL
SELECT 'cost_usd', bot, component, provider, model, NULL, NULL,
    session_id, turn_index, epoch_us(start_time) * 1000, cost_usd::DOUBLE, NULL, false
FROM costs
WHERE cost_usd > 0
UNION ALL
SELECT 'agent_cost_usd', bot, NULL, NULL, NULL, agent, decision,
    session_id, turn_index, epoch_us(start_time) * 1000, cost_usd::DOUBLE, NULL, false
FROM costs
WHERE cost_usd > 0 AND (agent IS NOT NULL OR decision IS NOT NULL)
UNION ALL
SELECT 'session_cost_usd', s.bot, NULL, NULL, NULL, NULL, NULL,
    s.session_id, NULL, epoch_us(s.start_time) * 1000, c.cost_usd, NULL, false
FROM cost_by_session c
JOIN sessions s ON s.session_id = c.session_id
WHERE c.cost_usd > 0
