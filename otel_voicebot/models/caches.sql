-- caches: how often each cache knew the answer.
-- inputs: operations
-- grain: one row per (cache, level); null where a lookup names none.
-- hit_rate: numerator hits, denominator lookups. exclusions: lookups that don't tell (unknown).
SELECT
    cache_name AS cache, cache_level AS level,
    count(cache_hit) AS lookups, count(CASE WHEN cache_hit THEN 1 END) AS hits, count(CASE WHEN NOT cache_hit THEN 1 END) AS misses,
    count(CASE WHEN cache_hit IS NULL THEN 1 END) AS unknown,
    CASE WHEN count(cache_hit) > 0 THEN count(CASE WHEN cache_hit THEN 1 END) / count(cache_hit) END AS hit_rate,
    quantile_cont(duration_s, 0.5) AS p50_s
FROM operations
WHERE component = 'cache'
GROUP BY cache_name, cache_level
ORDER BY lookups DESC, cache, level
