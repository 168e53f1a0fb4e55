-- cuts: the segments of each wait as one value, as a turn's row holds them, and the one on which most of it was spent.
-- inputs: segments
-- grain: one row per (session_id, turn_index) that has segments. Sorted as a list: an aggregate that sorts takes longer.
-- longest_segment, longest_owner: together, as a segment may occur several times; of equal ones the first.
SELECT session_id, turn_index,
    list_transform(list_sort(flatten(list(numbered))), lambda one: one.segment) AS segments,
    arg_max(segment, weight) AS longest_segment, arg_max_null(owner, weight) AS longest_owner
FROM (
    SELECT session_id, turn_index, segment, owner,
        sum(end_nano - start_nano) * 1000 - min(position) AS weight,
        list({
            'position': position,
            'segment': {
                'segment': segment, 'owner': owner, 'owner_kind': owner_kind, 'provider': provider, 'model': model,
                'span_id': lower(hex(span_id)), 'start_unix_nano': start_nano, 'duration_s': (end_nano - start_nano) / 1e9,
                'detail': detail
            }
        }) AS numbered
    FROM segments
    GROUP BY session_id, turn_index, segment, owner
)
GROUP BY session_id, turn_index
