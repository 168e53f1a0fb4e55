-- longest: on what most of each wait was spent.
-- inputs: segments
-- grain: one row per (session_id, turn_index) that has segments. Several segments of one kind and owner count together; of
--   equally long ones the first.
SELECT session_id, turn_index,
    arg_max(segment, weight) AS longest_segment, arg_max_null(owner, weight) AS longest_owner
FROM (
    SELECT session_id, turn_index, segment, owner, sum(end_nano - start_nano) * 1000 - min(position) AS weight
    FROM segments
    GROUP BY session_id, turn_index, segment, owner
)
GROUP BY session_id, turn_index
