"""Sections of the twelve calls' report as the models have them, in the form of ``sections.csv``."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from otel_voicebot.models import Engine
from otel_voicebot.models.quotas import Moment, read_quotas
from otel_voicebot.models.quotas import as_rows as quota_rows
from otel_voicebot.models.targets import as_rows, cache_rows, read_targets
from otel_voicebot.reports.sections import ON_REQUEST
from tests.models.twelve import AS_OF, HERE, opened, recompute

__all__ = ["KEYS", "Key", "cells_of", "counted", "of_models"]

Key = tuple[str, str, str]

KEYS = {
    "adapters": "component adapter intent_schema",
    "agent_costs": "kind name",
    "agents": "agent decision",
    "bots": "bot",
    "cache_entries": "cache entry",
    "caches": "cache",
    "compliance": "prompt intent",
    "components": "component provider model",
    "concurrency": "hour",
    "conversation": "bot",
    "cost_by_session": "session_id",
    "costs": "component model",
    "drop_off": "last_intent",
    "errors": "component provider error_type",
    "intent_schemas": "intent_schema",
    "intents": "intent",
    "journey": "session_id position",
    "latencies": "hours component model operation",
    "load": "minute",
    "mos": "mos_kind",
    "outcomes": "outcome end_reason",
    "quotas": "service period unit",
    "services": "service component",
    "sla": "hours component quantile",
    "speech": "bot",
    "summary": "name",
    "workflows": "workflow",
}
"""What names a row of each section that is pencilled."""

PART = ("summary", "latencies")
"""Some rows alone: the others of the summary are KPIs, the other components take the same time in every turn."""


def named(section: str, key: object) -> str:
    """A part of a row's name, as the table writes it."""
    if isinstance(key, datetime):
        return key.strftime("%Y-%m-%dT%H:%M" if section == "load" else "%Y-%m-%dT%H")
    return "-" if key is None else str(key)


def plain(value: object) -> object:
    """A cell as the table writes it, but a number as the model has it."""
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    return value.isoformat() if isinstance(value, datetime) else value


def cells_of(section: str, rows: Iterable[Mapping[str, Any]]) -> dict[Key, object]:
    """The measures that are pencilled, of all rows that there are; a journey's is when it happened."""
    wanted = [key for key in recompute.expected_sections() if key[0] == section]
    names, measures = {key[1] for key in wanted}, sorted({key[2] for key in wanted})
    found: dict[Key, object] = {}
    for row in rows:
        if section == "journey":
            found[section, str(row["session_id"]), str(row["position"])] = row["after_s"]
            continue
        name = " ".join(named(section, row[key]) for key in KEYS[section].split())
        if section not in PART or name in names:
            found |= {(section, name, measure): plain(row[measure]) for measure in measures}
    return found


def give(engine: Engine) -> None:
    """Targets and quotas of the files beside the tables."""
    targets = read_targets(HERE / "targets.json")
    engine.give("targets", as_rows(targets))
    engine.give("cache_targets", cache_rows(targets))
    engine.give("quotas", quota_rows(read_quotas(HERE / "quotas.json"), Moment(recompute.LIMITS_AT)))


def of_models(store: Path) -> dict[Key, object]:
    """Cells of all sections that are pencilled; service levels are asked for when quotas are."""
    found: dict[Key, object] = {}
    for as_of, names in ((AS_OF, KEYS.keys() - {"sla"}), (recompute.LIMITS_AT, {"sla"})):
        with opened(store, brief=False, as_of=as_of) as engine:
            give(engine)
            for name in names:
                model = ON_REQUEST[name].model if name in ON_REQUEST else name
                found |= cells_of(name, engine.table(model).to_pylist())
    return found


def counted(cells: Mapping[Key, tuple[str, list[str]]]) -> dict[Key, Any]:
    """The pencil's cells, numbers to fifteen digits; of a journey's step its time."""
    return {key: _figure(text.split()[0]) for key, (text, _) in cells.items()}


def _figure(text: str) -> Any:
    try:
        return pytest.approx(float(Fraction(text)), rel=1e-15, abs=0)
    except ValueError:
        return text
