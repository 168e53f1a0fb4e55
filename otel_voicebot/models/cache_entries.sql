-- cache_entries: what became of the turns and calls that an entry of a cache served.
-- inputs: operations, wide, turns, sessions
-- grain: one row per (cache, entry) that a lookup names; lookups that name no entry are left out.
-- turns: those in which it was looked up; p50_s, p95_s: their response gaps, seconds. abandoned_rate: numerator abandoned
--   exchanges, denominator exchanges. resolved_share: numerator resolved sessions, denominator sessions of a known outcome.
WITH named AS (
    SELECT DISTINCT lower(hex(trace_id)) AS trace_id, lower(hex(span_id)) AS span_id, attributes['{cache_entry}'] AS entry
    FROM wide
    WHERE attributes['{cache_entry}'] IS NOT NULL
),
looked AS (
    SELECT coalesce(o.cache_name, '') AS cache, n.entry, o.session_id, o.turn_index, o.cache_hit
    FROM operations o
    JOIN named n ON n.trace_id = o.trace_id AND n.span_id = o.span_id
    WHERE o.component = 'cache'
),
counted AS (
    SELECT cache, entry, count(cache_hit) AS lookups, count(CASE WHEN cache_hit THEN 1 END) AS hits
    FROM looked
    GROUP BY cache, entry
),
heard AS (
    SELECT l.cache, l.entry, count(*) AS turns, count(CASE WHEN t.kind = 'exchange' THEN 1 END) AS exchanges,
        count(CASE WHEN t.outcome = 'abandoned' THEN 1 END) AS abandoned,
        quantile_cont(t.response_gap_s, 0.5) AS p50_s, quantile_cont(t.response_gap_s, 0.95) AS p95_s
    FROM (SELECT DISTINCT cache, entry, session_id, turn_index FROM looked) l
    JOIN turns t ON t.session_id = l.session_id AND t.turn_index = l.turn_index
    GROUP BY l.cache, l.entry
),
called AS (
    SELECT l.cache, l.entry, count(*) AS sessions, count(CASE WHEN s.outcome <> 'unknown' THEN 1 END) AS judged,
        count(CASE WHEN s.outcome = 'resolved' THEN 1 END) AS resolved
    FROM (SELECT DISTINCT cache, entry, session_id FROM looked) l
    JOIN sessions s ON s.session_id = l.session_id
    GROUP BY l.cache, l.entry
)
SELECT
    nullif(n.cache, '') AS cache, n.entry, n.lookups, n.hits,
    CASE WHEN n.lookups > 0 THEN n.hits / n.lookups END AS hit_rate,
    coalesce(h.turns, 0) AS turns, h.p50_s, h.p95_s,
    CASE WHEN h.exchanges > 0 THEN h.abandoned / h.exchanges END AS abandoned_rate,
    coalesce(c.sessions, 0) AS sessions, CASE WHEN c.judged > 0 THEN c.resolved / c.judged END AS resolved_share
FROM counted n
LEFT JOIN heard h ON h.cache = n.cache AND h.entry = n.entry
LEFT JOIN called c ON c.cache = n.cache AND c.entry = n.entry
ORDER BY n.lookups DESC, n.cache, n.entry
