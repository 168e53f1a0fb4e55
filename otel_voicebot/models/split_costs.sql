-- split_costs: what services cost whose calls have to be priced one by one.
-- inputs: costs, service_prices
-- grain: one row. The engine leaves it empty, without a look at the operations, where no service is such.
SELECT count(*) AS things, count(c.cost_usd) AS priced, sum(c.cost_usd) AS cost_usd
FROM costs c
JOIN service_prices f
    ON f.component = c.component AND f.provider IS NOT DISTINCT FROM c.provider AND f.model IS NOT DISTINCT FROM c.model
WHERE f.split
