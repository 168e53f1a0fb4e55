-- costs: everything that is paid for, with its price where that is known.
-- inputs: operations, lines, prices
-- grain: one row per STT, LLM or TTS operation, and one (component telephony) per call of a phone line or of a channel with a price.
-- cost_usd: usage x price, USD, to 1e-12 (a decimal: sums don't depend on their order); null where the price or the
--   usage isn't known. STT by the second of audio heard, LLM by tokens (cached ones at their own price), TTS by the
--   character or the second of audio made, telephony by the minute of the call.
SELECT
    o.session_id, o.turn_index, o.component, o.provider, o.model, o.agent, o.decision, o.bot, o.start_time, o.failed,
    CASE o.component
        WHEN 'llm' THEN CASE WHEN o.input_tokens IS NOT NULL THEN greatest(o.input_tokens - coalesce(o.cached_input_tokens, 0), 0) * p.input_usd
            + least(coalesce(o.cached_input_tokens, 0), o.input_tokens) * p.cached_usd
            + coalesce(o.output_tokens, CASE WHEN p.output_usd = 0 THEN 0 END) * p.output_usd + p.request_usd END
        WHEN 'stt' THEN o.audio_s * p.second_usd
        ELSE coalesce(o.characters * p.character_usd, o.audio_s * p.second_usd)
    END::DECIMAL(38, 12) AS cost_usd
FROM operations o
LEFT JOIN prices p
    ON p.component = o.component
    AND p.provider IS NOT DISTINCT FROM o.provider
    AND p.model IS NOT DISTINCT FROM o.model
    AND o.start_time >= p.since_time AND o.start_time < p.until_time
    AND coalesce(o.input_tokens, 0) >= p.from_tokens AND coalesce(o.input_tokens, 0) < p.to_tokens
WHERE o.component IN ('stt', 'llm', 'tts')
UNION ALL
SELECT session_id, NULL, component, NULL, channel, NULL, NULL, bot, start_time, false, cost_usd
FROM lines
