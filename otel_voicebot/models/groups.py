"""Groups of calls, and the KPI models over one group after another: each is computed as if it had been selected.

What a model reads of the selection (calls, turns, operations, events, scores) is computed once and kept; the views that
the models read then show the rows of one group. So a group's KPIs are those of the same texts over the same rows as a
report with that filter, and the spans are read once.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from otel_voicebot import semconv
from otel_voicebot.models.catalog import MODELS

__all__ = ["FEW", "GROUPINGS", "OF_OPERATIONS", "TIMES", "begin", "listed", "look_at"]

Run = Callable[..., Any]

_OF_SESSION: Final = ("bot", "channel", "variant", "environment", "intent", "outcome", "end_reason", "escalated_by")
TIMES: Final = {
    "hour": "strftime(date_trunc('hour', start_time), '%Y-%m-%dT%H:%MZ')",
    "day": "strftime(date_trunc('day', start_time), '%Y-%m-%d')",
    "week": "strftime(date_trunc('week', start_time), '%Y-%m-%d')",
    "month": "strftime(date_trunc('month', start_time), '%Y-%m')",
}
"""When a call began, in UTC; a week is named by its Monday."""
_COLUMNS: Final = {
    **{name: name for name in ("provider", "model", "agent", "decision", "adapter")},
    "cache": "cache_name",
}
_ATTRIBUTES: Final = {
    "intent_schema": semconv.INTENT_SCHEMA,
    "tenant": semconv.TENANT,
    "platform": semconv.PLATFORM,
    "location": semconv.LOCATION,
}
OF_OPERATIONS: Final = frozenset({*_COLUMNS, "intent_schema"})
"""Groupings of which one call may be in several groups: it counts whole in each."""


def _of_operations(column: str) -> str:
    return f"""SELECT s.session_id, o.value FROM sessions s LEFT JOIN (
        SELECT DISTINCT session_id, {column} AS value FROM operations WHERE {column} IS NOT NULL
    ) o ON o.session_id = s.session_id"""


def _of_attribute(key: str) -> str:
    return f"""SELECT s.session_id, w.value FROM sessions s LEFT JOIN (
        SELECT DISTINCT coalesce(w.session_id, t.trace_session_id, lower(hex(w.trace_id))) AS session_id,
            w.attributes['{key}'] AS value
        FROM wide w LEFT JOIN traces t ON t.trace_id = w.trace_id
        WHERE w.attributes['{key}'] IS NOT NULL
    ) w ON w.session_id = s.session_id"""


GROUPINGS: Final[Mapping[str, str]] = {
    **{name: f"SELECT session_id, {name} AS value FROM sessions" for name in _OF_SESSION},
    **{name: f"SELECT session_id, {text} AS value FROM sessions" for name, text in TIMES.items()},
    **{name: _of_operations(column) for name, column in _COLUMNS.items()},
    **{name: _of_attribute(key) for name, key in _ATTRIBUTES.items()},
}
"""What calls can be grouped by: a query for (session_id, value). A call of which it isn't known has the value null."""

_KEPT: Final = ("sessions", "turns", "operations", "events")
"""What the KPI models read of a selection."""
FEW: Final = ("mos_kinds", "workflows")
"""Models of a few rows that the KPI models read, and that read spans or what was kept."""


def listed(run: Run, by: Sequence[str]) -> list[tuple[int, tuple[str | None, ...]]]:
    """(sessions, values) of each group by these ``GROUPINGS``, the largest first. ``begin`` has been called."""
    joins = " JOIN ".join(
        f"({GROUPINGS[name]}) g{place}" + (" USING (session_id)" if place else "") for place, name in enumerate(by)
    )
    values = ", ".join(f"g{place}.value AS v{place}" for place in range(len(by)))
    _show(run, None)
    run(f"CREATE OR REPLACE TEMP TABLE grouped AS SELECT session_id, {values} FROM {joins}")
    columns = ", ".join(f"v{place}" for place in range(len(by)))
    found = run(f"SELECT count(*), {columns} FROM grouped GROUP BY {columns} ORDER BY count(*) DESC, {columns}")
    return [(row[0], tuple(row[1:])) for row in found.fetchall()]


def begin(run: Run) -> None:
    """Keep what is selected, so that the models can be shown a part of it. Once an engine; its KPIs are defined."""
    read = _words("kpis", "components", "mos_kinds", "split_costs", "cost_kpis", "costs") | set(_COLUMNS.values())
    for name in _KEPT:
        columns = [row[0] for row in run(f"DESCRIBE {name}").fetchall()]
        if name == "operations":  # ids as text and other things that no KPI reads take most of the room
            columns = [column for column in columns if column in read]
        run(f"CREATE TEMP TABLE kept_{name} AS SELECT {', '.join(columns)} FROM {name}")
    run("CREATE TEMP TABLE kept_scores AS SELECT session_id, mos, mos_kind FROM steps WHERE mos IS NOT NULL")
    for name in FEW:
        run(f"DROP TABLE {name}")
    run(f"CREATE VIEW workflows AS {MODELS['workflows'].text}")
    run(f"CREATE VIEW mos_kinds AS WITH steps AS (FROM kept_scores) {MODELS['mos_kinds'].text}")
    kind = run("SELECT table_type FROM information_schema.tables WHERE table_name = 'components'").fetchone()[0]
    run("DROP VIEW components" if kind == "VIEW" else "DROP TABLE components")
    _show(run, None)


def look_at(run: Run, values: Sequence[str | None] | None) -> None:
    """From now on the models see the calls of this group of ``listed``; None: all that are selected."""
    if values is None:
        _show(run, None)
        return
    same = " AND ".join(f"v{place} IS NOT DISTINCT FROM ?" for place in range(len(values)))
    run(f"CREATE OR REPLACE TEMP TABLE looked_at AS SELECT DISTINCT session_id FROM grouped WHERE {same}", [*values])
    _show(run, "looked_at")


def _show(run: Run, part: str | None) -> None:
    for name in _KEPT:
        only = f" SEMI JOIN {part} USING (session_id)" if part else ""
        run(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM kept_{name}{only}")
    run(f"CREATE OR REPLACE TEMP TABLE components AS {MODELS['components'].text}")


def _words(*models: str) -> set[str]:
    return {word for model in models for word in re.findall(r"\w+", MODELS[model].text)}
