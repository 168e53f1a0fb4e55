-- cuts: the segments of each wait as one value, as a turn's row holds them.
-- inputs: segments
-- grain: one row per (session_id, turn_index) that has segments. Sorted as a list: an aggregate that sorts takes longer.
-- The live state packs them itself (``packed.py``): lists of texts take DuckDB longer than all that is in them.
SELECT session_id, turn_index, list_transform(list_sort(numbered), lambda one: one.segment) AS segments
FROM (
    SELECT session_id, turn_index,
        list({
            'position': position,
            'segment': {
                'segment': segment, 'owner': owner, 'owner_kind': owner_kind, 'provider': provider, 'model': model,
                'span_id': lower(hex(span_id)), 'start_unix_nano': start_nano, 'duration_s': (end_nano - start_nano) / 1e9,
                'detail': detail
            }
        }) AS numbered
    FROM segments
    GROUP BY session_id, turn_index
)
