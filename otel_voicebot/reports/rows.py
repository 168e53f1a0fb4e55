"""What stored rows of turns have to say of a call to count."""

from typing import Final

__all__ = ["WHOLE"]

WHOLE: Final = """(count(*) = max(turn_index) AND min(turn_index) = 1
    AND sum(turn_index) = count(*) * (count(*) + 1) // 2
    -- a bit a turn, of the first 62: counting distinct ones takes five times as long
    AND bit_count(bit_or(CASE WHEN turn_index BETWEEN 1 AND 62 THEN 1::BIGINT << (turn_index - 1) ELSE 0 END))
        = least(count(*), 62))"""
"""Of the rows of a call's turns, whether they number them from 1 without a hole, one row each; an aggregate."""
