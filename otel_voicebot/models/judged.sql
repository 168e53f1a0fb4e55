-- judged: what known says of a turn, and what kind of turn that makes it.
-- inputs: known
-- grain: one row per (session_id, turn_index).
-- kind: an exchange has a caller's utterance that the bot was to answer (its endpointing, if any, committed);
--   a greeting has bot audio only.
-- gap_s: the caller's true end of speech to the first bot audio after it, seconds; null without bot audio.
--   A framework's own is preferred, and where that is broken the gap is: one of the two is wrong, and nobody knows which.
--   own_gap_s: as events and spans say it.
-- wait_s: of an abandoned exchange, the caller's end of speech to the end of the turn: a lower bound (right-censored).
WITH kinds AS NOT MATERIALIZED (
    SELECT *,
        t0 IS NULL AND t1 IS NULL AND reported_gap_s IS NULL AS unmarked,
        coalesce(reported_gap_s, (t1 - t0) / 1e9) AS gap_s,
        CASE WHEN framed THEN derived_gap_s ELSE (t1 - t0) / 1e9 END AS own_gap_s,
        t1 IS NOT NULL OR reported_gap_s IS NOT NULL OR (t0 IS NULL AND spoken) AS audible,
        CASE
            WHEN endpointings > 0 AND endpointings = not_committed AND t1 IS NULL THEN 'other'
            WHEN t0 IS NOT NULL OR reported_gap_s IS NOT NULL THEN 'exchange'
            WHEN t1 IS NOT NULL AND NOT (framed AND stts > 0) THEN 'greeting'
            WHEN stts > 0 OR endpointings > 0 THEN 'exchange'
            WHEN spoken THEN 'greeting'
            ELSE 'other'
        END AS kind
    FROM known
)
SELECT *,
    CASE WHEN kind = 'exchange' AND NOT audible AND coalesce(t0, heard_nano) IS NOT NULL
        THEN greatest(end_nano - coalesce(t0, heard_nano), 0) / 1e9 END AS wait_s
FROM kinds
