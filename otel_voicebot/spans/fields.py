"""What is read of a span of the SDK."""

from typing import Final

__all__ = ["FIELDS", "WHOLE"]

FIELDS: Final = (
    *("name", "trace_id", "span_id", "parent_span_id", "trace_state", "kind", "start_time", "end_time"),
    *("status_code", "description", "resource", "instrumentation_scope", "attributes", "events", "links"),
)
"""Numbers and texts rather than the objects that hold them. Ids are numbers, 0 where there is none; of the events time,
name and attributes, one event behind the other, in one tuple."""

WHOLE: Final = None
"""As trace id: the name is a span of the SDK, whole, and the other fields say nothing."""
