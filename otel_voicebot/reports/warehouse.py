"""Models as queries for a warehouse, with what their reader must know: what ``otel-voicebot sql`` prints."""

from collections.abc import Mapping
from typing import Final

from otel_voicebot.models import MODELS
from otel_voicebot.models.terms import GIVEN
from otel_voicebot.models.warehouse import DIALECTS, EXECUTED, Asked, Rendered, refusal
from otel_voicebot.reports.grid import Column, Grid

__all__ = ["document", "headed", "listed", "listing"]

_EXECUTED: Final = "executed in the tests"
_RENDERED: Final = "rendered, not executed"

_NOTES: Final[Mapping[str, tuple[str, ...]]] = {
    "clickhouse": (
        "common tables are computed wherever they are read: of much data make tables by --only (steps, turns)",
    ),
    "spark": (
        "needs Spark 4.1 or later, and: SET spark.sql.session.timeZone = UTC",
        "and: SET spark.sql.optimizer.excludedRules = org.apache.spark.sql.catalyst.optimizer.RemoveRedundantAliases",
    ),
    "snowflake": ("needs: ALTER SESSION SET TIMEZONE = 'UTC'",),
}


def label(dialect: str) -> str:
    """Whether the SQL of a dialect is run by the tests."""
    return _EXECUTED if dialect in EXECUTED else _RENDERED


def headed(rendered: Rendered, asked: Asked) -> str:
    """The query under its head, as comments."""
    head = [f"{rendered.model} for {rendered.dialect}: {label(rendered.dialect)}", *_about(rendered.model)]
    head += [f"reads: {one}" for one in _reads(rendered)]
    head += [f"{name}: {value}" for name, value in _values(asked).items()]
    head += _NOTES.get(rendered.dialect, ())
    return "".join(f"-- {line}\n" for line in head) + rendered.sql + ";\n"


def document(rendered: Rendered, asked: Asked) -> dict[str, object]:
    """The JSON document of ``sql --json``."""
    return {
        "schema": "otel_voicebot.sql/1",
        "model": rendered.model,
        "dialect": rendered.dialect,
        "label": label(rendered.dialect),
        "about": _about(rendered.model),
        "reads": list(rendered.sources),
        "values": _values(asked),
        "notes": list(_NOTES.get(rendered.dialect, ())),
        "sql": rendered.sql,
    }


def _about(model: str) -> list[str]:
    """What a model's file says of it: grain, units, numerators, denominators, exclusions."""
    lines = []
    for line in MODELS[model].text.splitlines():
        if not line.startswith("--"):
            break
        if not line.startswith("-- inputs:"):
            lines.append(line.removeprefix("--").removeprefix(" "))
    return lines


def _reads(rendered: Rendered) -> list[str]:
    said = []
    for name in rendered.sources:
        columns = " ".join(GIVEN.get(name, "").split())
        said.append(f"{name} ({columns})" if columns else name)
    return said


def _values(asked: Asked) -> dict[str, str]:
    chosen = {"since": asked.selection.since, "until": asked.selection.until, **asked.selection.filters}
    return {
        "as_of": asked.terms.as_of.isoformat(),
        "short_session_s": str(asked.terms.short_session_s),
        "human_interaction_usd": str(asked.terms.human_interaction_usd),
        # a name may hold a line break, which would end the comment
        **{name: " ".join(str(value).split()) for name, value in chosen.items() if value is not None},
    }


def _rows() -> list[dict[str, object]]:
    return [
        {
            "model": name,
            **{dialect: refusal(name, dialect) or label(dialect) for dialect in DIALECTS},
            "about": _about(name)[0].partition(": ")[2],
        }
        for name in sorted(MODELS)
    ]


def listing() -> dict[str, object]:
    """The JSON document of ``sql --list --json``."""
    return {"schema": "otel_voicebot.sql_list/1", "models": _rows()}


def listed() -> Grid:
    """The models, and which dialects have words for them."""
    rows = tuple(
        {
            "model": row["model"],
            "dialects": ", ".join(one for one in DIALECTS if refusal(str(row["model"]), one) is None) or "none",
            "about": row["about"],
        }
        for row in _rows()
    )
    columns = (Column("model", "model", style="bold"), Column("dialects", "dialects"), Column("about", "what"))
    notes = (f"{', '.join(sorted(EXECUTED))}: {_EXECUTED}; the others: {_RENDERED}",)
    return Grid("models", "Models", columns, rows, empty="there is no model", notes=notes)
