-- links: of each span what shows whether it may be repeated, nested, without a session or to be placed; usually no span is.
-- inputs: spans
-- grain: one row per row of spans. Hashes, since numbers are cheaper to compare than bytes: equal ids have equal ones.
SELECT
    hash(span_id) AS span,
    -- hash(NULL) would be a value, of all roots: a join on it puts them into one heap, which has to fit into memory
    CASE WHEN parent_span_id IS NOT NULL THEN hash(parent_span_id) END AS parent,
    {operates} AS operates,
    component = 'other' AS passes,
    session_id IS NULL AS loose,
    dialect NOT IN ({flat}) AS framework
FROM spans
