-- quota_use: how much of each quota and budget is used, and when it will be used up.
-- inputs: operations, lines, costs, quotas
-- grain: one row per quota and unit, of the day or month (calendar, UTC) that holds the moment asked about. A row without a
--   service is the budget for everything.
-- used: operations of the service that began in the period (calls), their tokens, characters, seconds of audio, USD; of
--   telephony, calls that began, their seconds, USD. null where none of them tells.
-- used_share: numerator used, denominator allowed. unknown: operations that don't tell: the use is higher by theirs.
-- state: used_up from the whole on, warning from warning_share on, else ok; null where the use is unknown.
-- projected_share, used_up_at: at the pace of the period so far, by its end, and when it reaches the whole if that is before
--   its end; null before a twentieth of the period has passed, and where not all its sessions are looked at (whole is false).
WITH used AS (
    SELECT
        CASE WHEN component = 'api' THEN coalesce(operation, provider) ELSE provider END AS service, component, start_time,
        input_tokens, output_tokens, characters, audio_s AS seconds
    FROM operations
    WHERE component IN ('stt', 'llm', 'tts', 'api', 'rag')
    UNION ALL
    SELECT component, component, start_time, NULL, NULL, NULL, duration_s FROM lines
),
paid AS (
    SELECT CASE WHEN component = 'telephony' THEN component ELSE provider END AS service, component, start_time, cost_usd
    FROM costs
),
measured AS (
    SELECT q.position,
        CASE q.unit
            WHEN 'calls' THEN 1::DOUBLE
            WHEN 'tokens' THEN CASE WHEN u.input_tokens IS NOT NULL OR u.output_tokens IS NOT NULL
                THEN (coalesce(u.input_tokens, 0) + coalesce(u.output_tokens, 0))::DOUBLE END
            WHEN 'characters' THEN u.characters::DOUBLE
            ELSE u.seconds
        END AS amount
    FROM quotas q
    JOIN used u ON (q.service IS NULL OR u.service = q.service) AND (q.component IS NULL OR u.component = q.component)
        AND u.start_time >= q.begin_time AND u.start_time < q.at_time
    WHERE q.unit <> 'usd'
),
counted AS (
    SELECT position, count(*) AS operations, sum(amount) AS used, count(amount) AS told
    FROM measured
    GROUP BY position
    UNION ALL
    SELECT q.position, count(*), sum(p.cost_usd)::DOUBLE, count(p.cost_usd)
    FROM quotas q
    JOIN paid p ON (q.service IS NULL OR p.service = q.service) AND (q.component IS NULL OR p.component = q.component)
        AND p.start_time >= q.begin_time AND p.start_time < q.at_time
    WHERE q.unit = 'usd'
    GROUP BY q.position
),
known AS (
    SELECT q.*, CASE WHEN c.position IS NULL THEN 0 ELSE c.used END AS used,
        coalesce(c.operations - c.told, 0) AS unknown, q.whole AND q.elapsed_us * 20 >= q.period_us AS projects
    FROM quotas q
    LEFT JOIN counted c ON c.position = q.position
)
SELECT
    service, component, period, unit, allowed, used, used / allowed AS used_share, warning_share,
    CASE WHEN used >= allowed THEN 'used_up' WHEN used >= allowed * warning_share THEN 'warning' WHEN used IS NOT NULL THEN 'ok' END AS state,
    CASE WHEN projects THEN used * period_us / elapsed_us / allowed END AS projected_share,
    CASE WHEN projects AND used > 0 AND used < allowed AND elapsed_us * (allowed / used) < period_us
        THEN make_timestamp(begin_us + (elapsed_us * (allowed / used))::BIGINT) AT TIME ZONE 'UTC' END AS used_up_at,
    unknown, whole, begin_time, end_time
FROM known
ORDER BY position
