-- lines: the telephone lines of calls, which somebody charges for.
-- inputs: sessions, telephony_prices
-- grain: one row per call of a phone line, or of a channel with a price.
-- cost_usd: minutes of the call x price, USD, to 1e-12; null where the channel has no price.
SELECT s.session_id, 'telephony' AS component, s.channel, s.bot, s.start_time, s.duration_s,
    (s.duration_s / 60 * t.minute_usd)::DECIMAL(38, 12) AS cost_usd
FROM sessions s
LEFT JOIN telephony_prices t ON t.channel = s.channel
WHERE s.channel = '{phone}' OR t.channel IS NOT NULL
