-- service_prices: the price of each service, where it has one for all its calls.
-- inputs: prices
-- grain: one row per (component, provider, model) with a price. split: it has several, by day or by length of the prompt, or its answers are free
--   (calls that don't tell how long they were have a price then): its calls have to be priced one by one.
SELECT component, provider, model,
    any_value(input_usd) AS input_usd, any_value(cached_usd) AS cached_usd, any_value(output_usd) AS output_usd,
    any_value(request_usd) AS request_usd, any_value(second_usd) AS second_usd, any_value(character_usd) AS character_usd,
    count(*) > 1 OR coalesce(any_value(output_usd) = 0, false) AS split
FROM prices
GROUP BY component, provider, model
