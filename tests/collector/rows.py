"""What a data directory says of calls: the rows of the models, and the rows that the live state wrote."""

import json
from pathlib import Path
from typing import Any

from otel_voicebot.errors import NoDataError
from otel_voicebot.models import Engine
from otel_voicebot.store import snapshot

__all__ = ["live_rows", "model_rows"]

_OF_THE_WRITER = ("revision", "computed_at", "writer", "ingest_time")
"""Columns that say who computed a row and when: they differ between two stores of the same calls."""


def model_rows(data: Path, model: str) -> list[str]:
    """Rows of a model computed from the spans, each as text, sorted."""
    with Engine(snapshot(data)) as engine:
        return _texts(engine.sql(f"SELECT * FROM {model}").to_pylist())


def live_rows(data: Path, table: str) -> list[str]:
    """The newest revision of each row that was written while the calls went on, each as text, sorted."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    try:
        rows = snapshot(data, table).read().to_pylist()
    except NoDataError:
        return []
    for row in rows:
        key = (row["session_id"], row.get("turn_index"))
        if key not in newest or row["revision"] >= newest[key]["revision"]:
            newest[key] = row
    return _texts(list(newest.values()))


def _texts(rows: list[dict[str, Any]]) -> list[str]:
    kept = [{name: value for name, value in row.items() if name not in _OF_THE_WRITER} for row in rows]
    return sorted(json.dumps(row, sort_keys=True, default=_text) for row in kept)


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
