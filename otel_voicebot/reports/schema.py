"""The published tables, described: what ``schema`` prints and the reference page holds."""

from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.spans.schema import PUBLISHED, SCHEMA_VERSION

__all__ = ["document", "grids"]


def _columns(table: str) -> list[dict[str, str]]:
    return [
        {
            "name": field.name,
            "type": str(field.type).replace("element: ", "").replace("item: ", ""),
            "meaning": (field.metadata or {}).get(b"meaning", b"").decode(),
        }
        for field in PUBLISHED[table]
    ]


def _chosen(table: str | None) -> list[str]:
    return [table] if table else list(PUBLISHED)


def document(table: str | None) -> dict[str, object]:
    """The JSON document of ``schema --json``; of all tables when None."""
    return {
        "schema": "otel_voicebot.schema/1",
        "schema_version": SCHEMA_VERSION,
        "tables": {name: _columns(name) for name in _chosen(table)},
    }


def grids(table: str | None) -> list[Grid]:
    """A table of the columns of each table."""
    columns = (Column("name", "column", style="bold"), Column("type", "type"), Column("meaning", "meaning"))
    return [Grid(name, name, columns, tuple(_columns(name))) for name in _chosen(table)]
