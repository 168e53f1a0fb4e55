"""The golden tables stand on the captures: what they point at is there."""

from collections import defaultdict
from typing import Any

import pytest

from tests.dialects.golden import CAPTURES, REFERENCE, Capture, read_capture, read_golden


def check_source(capture: Capture, value: Any, source: str) -> None:
    """Assert that the source exists and, unless it is a note, that it has the value."""
    if source.startswith("note: "):
        for span_id, field in REFERENCE.findall(source):
            assert span_id in capture.spans, source
            if field.startswith("!"):
                with pytest.raises(KeyError):
                    capture.field(span_id, field[1:])
            elif field:
                capture.field(span_id, field)
        return
    seen = capture.evaluate(source)
    if source.startswith("= ") and isinstance(value, float):
        assert float(seen) == pytest.approx(value, abs=1e-6), source
    else:
        assert seen == value, source
        assert isinstance(seen, bool) or not isinstance(value, bool), source


@pytest.mark.parametrize("name", CAPTURES)
def test_each_value_names_where_it_comes_from(name: str) -> None:
    """Each golden value has a source: a field or an expression that gives it, or a reading of spans that are there."""
    capture, golden = read_capture(name), read_golden(name)
    for row in golden["turns"] + golden["operations"]:
        values, sources = row["values"] | {key: row[key] for key in ("session", "index")}, row["from"]
        assert set(values) == set(sources)
        for column, source in sources.items():
            check_source(capture, values[column], source)
            assert values[column] is not None or source.startswith("note: "), (column, source)


@pytest.mark.parametrize("name", CAPTURES)
def test_turns_are_numbered_in_the_order_they_began(name: str) -> None:
    """Within a session turns, and operations, count from 1 in the order of the start that each names."""
    capture, golden = read_capture(name), read_golden(name)
    for rows in (golden["turns"], golden["operations"]):
        sessions = defaultdict(list)
        for row in rows:
            ((span_id, field),) = REFERENCE.findall(row["from"]["index"])
            sessions[row["session"]].append((row["index"], capture.field(span_id, field)))
        for numbered in sessions.values():
            assert [index for index, _ in numbered] == list(range(1, len(numbered) + 1))
            assert numbered == sorted(numbered, key=lambda pair: pair[1])


@pytest.mark.parametrize("name", CAPTURES)
def test_no_operation_is_left_out(name: str) -> None:
    """Where a capture has no turns, each of its spans is a row of operations or is listed as none."""
    capture, golden = read_capture(name), read_golden(name)
    if golden["turns"]:
        return
    rows = {row["from"]["component"].split("{")[1][:16] for row in golden["operations"]}
    assert rows | set(golden["not_operations"]) == set(capture.spans)
    assert not rows & set(golden["not_operations"])
