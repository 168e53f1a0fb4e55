"""Traces as SQL: how many spans they have, their spans each once, and a summary of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

from otel_voicebot.reports.matching import UNKNOWN_SERVICE
from otel_voicebot.store.reader import Snapshot

__all__ = ["OfService", "Summary", "counted", "once", "summarised"]

_FIRST: Final = "row_number() OVER (PARTITION BY trace_id, span_id ORDER BY ingest_time, start_unix_nano) = 1"
"""Of a span that is there twice the copy that came in first, as everywhere."""

_START: Final = f"coalesce(start_unix_nano, {(1 << 63) - 1})"


class OfService(TypedDict):
    """What one service sent of a trace."""

    name: str
    spans: int
    errors: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What a trace holds; each span counts once. Times are nanoseconds since 1970."""

    trace_id: str
    root_service: str
    root_name: str
    first: int
    """The earliest start."""
    last: int
    """The latest end, or start."""
    spans: int
    errors: int
    orphans: int
    """Spans whose parent is not there."""
    services: Sequence[OfService]
    """By name."""


def counted(source: Snapshot) -> str:
    """Rows (trace_id, spans): how many spans each trace of these rows has."""
    keys = source.sql(("trace_id", "span_id"))
    return f"SELECT trace_id, count(DISTINCT span_id) AS spans FROM ({keys}) GROUP BY trace_id"  # noqa: S608 - ours


def once(source: Snapshot, most: int | None = None) -> str:
    """All columns of these rows, each span once; of one trace only so many spans, those that start first."""
    rows = f"({source.sql()})"
    if most is not None:
        # The last one that is shown, by few columns: wide rows needn't be sorted.
        keys = source.sql(("span_id", "start_unix_nano"))
        rows = f"""(WITH final AS MATERIALIZED (
            SELECT min({_START}) AS start, span_id FROM ({keys}) GROUP BY span_id
            ORDER BY start, span_id LIMIT 1 OFFSET {most - 1}
        ) SELECT s.* FROM {rows} s, final WHERE ({_START}, s.span_id) <= (final.start, final.span_id))"""  # noqa: S608
    return f"SELECT * FROM {rows} QUALIFY {_FIRST}"  # noqa: S608 - names are ours


def summarised(source: Snapshot) -> str:
    """Rows of the form ``Summary``, one for each trace, in no order."""
    columns = ("trace_id", "span_id", "parent_span_id", "service_name", "name", "status", "ingest_time")
    rows = source.sql((*columns, "start_unix_nano", "end_unix_nano"))
    # The root is the first span without a parent, else the first one.
    order = "parent_span_id IS NOT NULL, start_unix_nano, end_unix_nano DESC, span_id"
    return f"""WITH theirs AS MATERIALIZED (
            SELECT trace_id, span_id, parent_span_id, start_unix_nano, end_unix_nano, coalesce(name, '') AS name,
                coalesce(nullif(service_name, ''), '{UNKNOWN_SERVICE}') AS service,
                coalesce(status = 'error', false) AS failed
            FROM ({rows}) QUALIFY {_FIRST}
        ), whole AS (
            SELECT trace_id, first(service ORDER BY {order}) AS root_service, first(name ORDER BY {order}) AS root_name,
                coalesce(min(start_unix_nano), 0) AS "first",
                coalesce(max(greatest(start_unix_nano, end_unix_nano)), 0) AS "last",
                count(*) AS spans, count(*) FILTER (failed) AS errors
            FROM theirs GROUP BY trace_id
        ), lost AS (
            SELECT c.trace_id, count(*) AS orphans
            FROM theirs c ANTI JOIN theirs p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
            WHERE c.parent_span_id IS NOT NULL GROUP BY c.trace_id
        ), each AS (
            SELECT trace_id, service, count(*) AS spans, count(*) FILTER (failed) AS errors
            FROM theirs GROUP BY trace_id, service
        ), listed AS (
            SELECT trace_id, list({{name: service, spans: spans, errors: errors}} ORDER BY service) AS services
            FROM each GROUP BY trace_id
        )
        SELECT whole.*, coalesce(orphans, 0) AS orphans, services
        FROM whole LEFT JOIN lost USING (trace_id) JOIN listed USING (trace_id)"""  # noqa: S608 - names are ours
