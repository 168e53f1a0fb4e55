"""What a data directory says of itself: which frameworks, which of their fields, and what is wrong with them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from otel_voicebot.dialects import Dialect
from otel_voicebot.reports import drift, findings, whole
from otel_voicebot.reports.drift import FieldState
from otel_voicebot.reports.findings import Finding
from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.scope import Scope
from otel_voicebot.reports.source import Opened

__all__ = ["Diagnosis", "Framework", "compute", "document", "grids", "head"]

_SCOPES_SHOWN: Final = 5
_NAMES_HINTED: Final = 3
_NAMES_KEPT: Final = 200
"""Unknown names: senders make them up."""


@dataclass(frozen=True, slots=True)
class Framework:
    """What was seen of one dialect.

    Attributes:
        name: of the dialect; empty: of spans that none recognises.
        versions: that its spans tell, or, with ``+``, from which on it has what they have; empty when nothing tells.
        spans: spans.
        sessions: calls with one of them.
        turns: turns of these calls that are read with this dialect.
        spoken: calls with any turn.
        answered: of those the exchanges that the bot answered.
        gaps: of those with a response gap.
        scopes: instrumentation scopes, the most frequent first.
    """

    name: str
    versions: tuple[str, ...]
    spans: int
    sessions: int
    spoken: int
    turns: int
    answered: int
    gaps: int
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer; ``ok`` when nothing keeps turns and KPIs from being right."""

    scope: Scope
    frameworks: tuple[Framework, ...]
    fields: tuple[FieldState, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """No finding is trouble."""
        return not any(one.level == "trouble" for one in self.findings)


def compute(opened: Opened, dialects: Iterable[Dialect], extra: Sequence[Finding] = ()) -> Diagnosis:
    """Look at everything that the selection has.

    Args:
        opened: the data.
        dialects: the frameworks that are known.
        extra: what was found elsewhere.
    """
    scope = opened.scope
    where = ""
    if scope.since or scope.until or scope.filters:
        chosen = "SELECT trace_id FROM steps WHERE session_id IN (SELECT session_id FROM sessions)"
        where = f" AND trace_id IN ({chosen})"
    tables = {one.name: one for one in dialects}
    seen = drift.seen(opened, where, tables.values())
    under_way = whole.under_way(opened, where, scope.as_of)
    fields = [
        one
        for name, named in seen.items()
        if name in tables
        for one in drift.fields_of(tables[name], named, under_way=under_way)
    ]
    frameworks = [
        replace(one, versions=one.versions or _proven(one.name, fields)) for one in _frameworks(opened, where)
    ]
    found = [
        *findings.of_turns(frameworks),
        *findings.of_fields(fields),
        *findings.of_wholeness(whole.wholeness(opened, where, scope.as_of)),
        *findings.of_clocks(whole.clocks(opened, where)),
        *findings.of_quality(*whole.broken(opened)),
        *findings.of_content(*whole.texts(opened, where)),
        *extra,
    ]
    order = {"trouble": 0, "note": 1}
    return Diagnosis(scope, tuple(frameworks), tuple(fields), tuple(sorted(found, key=lambda one: order[one.level])))


def _frameworks(opened: Opened, where: str) -> list[Framework]:
    columns = ["trace_id", "span_id", "dialect", "framework_version", "scope_name"]
    source = opened.snapshot.sql(columns, raw_ids=True)
    found = opened.engine.sql(_FRAMEWORKS.format(source=f"SELECT * FROM ({source}) WHERE true{where}"))  # noqa: S608
    return [
        Framework(**{**row, "versions": tuple(row["versions"]), "scopes": tuple(row["scopes"])})
        for row in found.to_pylist()
    ]


_FRAMEWORKS: Final = """
WITH stored AS MATERIALIZED (SELECT DISTINCT ON (trace_id, span_id) * FROM ({source})),
scopes AS (
    SELECT dialect, list(coalesce(scope_name, '') ORDER BY n DESC, scope_name) AS scopes
    FROM (SELECT dialect, scope_name, count(*) AS n FROM stored GROUP BY ALL) GROUP BY dialect
),
calls AS (SELECT DISTINCT s.dialect, t.session_id FROM stored s JOIN steps t USING (trace_id, span_id)),
counted AS (
    SELECT dialect, count(DISTINCT session_id) AS sessions,
        count(DISTINCT CASE WHEN session_id IN (SELECT session_id FROM turns) THEN session_id END) AS spoken
    FROM calls GROUP BY dialect
),
spoken AS (
    SELECT dialect, count(*) AS turns, count(CASE WHEN outcome = 'answered' THEN 1 END) AS answered,
        count(response_gap_s) AS gaps
    FROM turns GROUP BY dialect
)
SELECT coalesce(s.dialect, '') AS name,
    list_sort(coalesce(list(DISTINCT s.framework_version) FILTER (s.framework_version IS NOT NULL), [])) AS versions,
    count(*) AS spans, any_value(c.sessions) AS sessions, any_value(c.spoken) AS spoken,
    coalesce(any_value(t.turns), 0) AS turns, coalesce(any_value(t.answered), 0) AS answered,
    coalesce(any_value(t.gaps), 0) AS gaps, any_value(o.scopes) AS scopes
FROM stored s
LEFT JOIN counted c ON c.dialect IS NOT DISTINCT FROM s.dialect
LEFT JOIN spoken t ON t.dialect = s.dialect
LEFT JOIN scopes o ON o.dialect IS NOT DISTINCT FROM s.dialect
GROUP BY s.dialect
ORDER BY spans DESC, name
"""


def _proven(name: str, fields: Sequence[FieldState]) -> tuple[str, ...]:
    """From which version on a framework writes what was seen."""
    newest = max(
        (one.since for one in fields if one.framework == name and one.proves),
        key=drift.version,
        default="",
    )
    return (f"{newest}+",) if newest else ()


def head(found: Diagnosis) -> list[str]:
    """The lines above the tables: of which data, and what was found."""
    spans = sum(one.spans for one in found.frameworks)
    return [*found.scope.lines(f"{spans} spans"), *findings.lines(found.findings)]


def grids(found: Diagnosis) -> list[Grid]:
    """Frameworks, then fields."""
    return [_of_frameworks(found.frameworks), _of_fields(found.fields)]


def _of_frameworks(frameworks: Sequence[Framework]) -> Grid:
    return Grid(
        "frameworks",
        "What writes spans",
        (
            Column("name", "framework", lambda name: str(name) or "(not recognised)"),
            Column("versions", "version", _versions),
            *(Column(key, key, right=True) for key in ("spans", "sessions", "turns", "answered")),
            Column("gaps", "with a gap", right=True),
            Column("scopes", "scopes", _scopes),
        ),
        tuple(asdict(one) for one in frameworks),
    )


def _versions(versions: object) -> str:
    return ", ".join(map(str, _listed(versions))) or "not told"


def _scopes(scopes: object) -> str:
    names = [str(one) or "(none)" for one in _listed(scopes)]
    more = len(names) - _SCOPES_SHOWN
    return ", ".join(names[:_SCOPES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _listed(values: object) -> Sequence[object]:
    return values if isinstance(values, (list, tuple)) else ()


_WORDS: Final[Mapping[str, str]] = {
    "mapped": "mapped",
    "unfit": "there, but not readable",
    "missing": "MISSING",
    "older": "missing",
    "sometimes": "not seen",
    "renamed": "RENAMED",
    "new": "new",
}


def _of_fields(fields: Sequence[FieldState]) -> Grid:
    shown = [one for one in fields if one.of or one.state == "missing"]
    return Grid(
        "fields",
        "Fields",
        (
            Column("framework", "framework"),
            Column("span", "span"),
            Column("key", "attribute", lambda key: str(key) or "(the span itself)"),
            Column("state", "state", lambda state: _WORDS[str(state)]),
            Column("_on", "on spans", str, right=True),
            Column("tells", "tells"),
            Column("_hint", "hint", str),
        ),
        tuple({**asdict(one), "_on": f"{one.found} of {one.of}", "_hint": _hint(one)} for one in shown[:_NAMES_KEPT]),
        empty="no framework that is known",
        notes=(f"and {len(shown) - _NAMES_KEPT} more",) if len(shown) > _NAMES_KEPT else (),
    )


def _hint(one: FieldState) -> str:
    if one.state == "renamed":
        return f"{one.like}?"
    if one.instead:
        return ", ".join(f"{name}?" for name in one.instead[:_NAMES_HINTED])
    if one.state == "older":
        return f"from {one.since} on"
    return f"switch on: {one.enable}" if one.state == "missing" and one.enable else ""


def document(found: Diagnosis) -> dict[str, object]:
    """As JSON."""
    kept = [one for one in found.fields if one.of or one.state == "missing"]
    return {
        **found.scope.document("doctor"),
        "ok": found.ok,
        "frameworks": [asdict(one) for one in found.frameworks],
        "fields": [asdict(one) for one in kept[: 10 * _NAMES_KEPT]],
        "findings": [asdict(one) for one in found.findings],
    }
