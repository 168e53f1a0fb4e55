-- caches: how often each cache knew the answer.
-- inputs: operations, cache_targets
-- grain: one row per (cache, level); null where a lookup names none.
-- hit_rate: numerator hits, denominator lookups. exclusions: lookups that don't tell (unknown). met: the hit rate reaches its
--   target; null where there is none, or no lookup.
WITH looked AS (
    SELECT
        cache_name AS cache, cache_level AS level,
        count(cache_hit) AS lookups, count(CASE WHEN cache_hit THEN 1 END) AS hits, count(CASE WHEN NOT cache_hit THEN 1 END) AS misses,
        count(CASE WHEN cache_hit IS NULL THEN 1 END) AS unknown,
        CASE WHEN count(cache_hit) > 0 THEN count(CASE WHEN cache_hit THEN 1 END) / count(cache_hit) END AS hit_rate,
        quantile_cont(duration_s, 0.5) AS p50_s
    FROM operations
    WHERE component = 'cache'
    GROUP BY cache_name, cache_level
)
SELECT l.*, t.target, l.hit_rate >= t.target AS met
FROM looked l
LEFT JOIN cache_targets t ON t.cache = l.cache
ORDER BY l.lookups DESC, l.cache, l.level
