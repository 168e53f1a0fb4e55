"""The models as queries for a warehouse that holds the store's ``history`` (``otel-voicebot sql``), by SQLGlot.

One tree is made of a model and all that it reads, stars are written out, what nobody reads is left out; then it is said
in the words of the dialect. The source is one table of spans with the columns of ``history``: ids are lowercase hex.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify

from otel_voicebot.errors import UsageError
from otel_voicebot.models.catalog import MODELS, NO_CUTS, SPAN_COLUMNS
from otel_voicebot.models.dialect_rules import PREFIXES
from otel_voicebot.models.portable import translated, untied, with_values
from otel_voicebot.models.selection import Selection
from otel_voicebot.models.terms import BEFORE_COLUMNS, GIVEN, WIDE_COLUMNS, Terms, ended_by
from otel_voicebot.spans.schema import SPANS_READ

__all__ = ["DIALECTS", "EXECUTED", "UNPORTABLE", "Asked", "Rendered", "refusal", "render", "statement"]

DIALECTS: Final = ("duckdb", "spark", "clickhouse", "bigquery", "snowflake", "trino")
EXECUTED: Final = frozenset({"duckdb", "spark", "clickhouse"})
"""Dialects whose SQL is run in the tests, and gives what the models give; that of others is only rendered."""
UNPORTABLE: Final = {
    "links": "it tells DuckDB's engine which models it may spare, by hashes that no other engine has",
    "cuts": "it puts segments into one nested value a turn; ask for segments, which has them as rows",
    "plain": "it is what steps is where no span links to another; ask for steps",
    "unplaced": "it is what known is where no span needed placing; ask for known",
}
"""Models that stay at home, and why."""

_UNPORTABLE_IN: Final = {
    ("sla", "clickhouse"): "ClickHouse has no outer join by anything but equality",
    ("per_call", "bigquery"): "BigQuery doesn't tell a list that is null from an empty one",
    ("adapters", "bigquery"): "it reads a map of Parquet as a list of pairs, whose form depends on how it was loaded",
}
"""Models that stay at home from one dialect."""

_CUT: Final = frozenset({"turns", "priced_turns", "cuts", "longest", "segments", "breakdowns", "breakdown_shares"})
"""Models that are about what waits were spent on. For others turns are computed without, which is quicker by far."""

_VARIABLES: Final = ("as_of", "short_session_s", "human_interaction_usd", "idle_timeout_s")
"""What models ask of ``Terms``, by getvariable."""
_SELECTED: Final = ("turns", "sessions", "operations", "segments", "longest")
"""What a selection of sessions narrows."""

_BEFORE_SELECTION: Final = {"sessions": ("turns",), "turns": ("longest",), "longest": ("segments",)}
"""Models that read these of all sessions: what is selected is only known from them."""

_SETTINGS: Final = {
    "clickhouse": "SETTINGS join_use_nulls = 1",
}
"""What ends a query: without it an outer join gives 0 and empty texts there, not null."""

_NESTED: Final = {"*": ("segments",), "bigquery": ("segments", "quality")}
"""Columns of turns that are left out: lists of structs; BigQuery can't put lists into lists on the way."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query is to count: as the options of the command line say it."""

    selection: Selection = field(default_factory=Selection)
    terms: Terms = field(default_factory=Terms)
    spans: str = "spans"
    """The table of spans in the warehouse, as its SQL names it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A model as a query."""

    model: str
    dialect: str
    sql: str
    sources: tuple[str, ...]
    """Tables that the query reads, which the warehouse must have."""


def refusal(model: str, dialect: str) -> str | None:
    """Why a model can't be said in a dialect; None when it can."""
    return UNPORTABLE.get(model) or _UNPORTABLE_IN.get((model, dialect))


def render(model: str, dialect: str, asked: Asked | None = None, *, only: bool = False) -> Rendered:
    """A model in a dialect.

    Args:
        model: its name.
        dialect: one of ``DIALECTS``.
        asked: which sessions count, and what else KPIs depend on.
        only: just the model, reading its inputs as tables; else one query that reads the spans.

    Raises:
        UsageError: there is no such model or dialect, or the model has no words in it; the message says why.
    """
    if dialect not in DIALECTS:
        raise UsageError(f"no dialect {dialect!r}: there are {', '.join(DIALECTS)}")
    if model not in MODELS:
        raise UsageError(f"no model {model!r}: `otel-voicebot sql --list` names them")
    if reason := refusal(model, dialect):
        raise UsageError(f"the model {model} isn't for {dialect}: {reason}")
    asked = asked or Asked()
    try:
        query = _alone(model, dialect, asked) if only else _tree(model, dialect, asked)
        tree = translated(query, dialect)
        _read_spans(tree, asked, dialect)
        text = tree.sql(dialect, pretty=True, unsupported_level=sqlglot.ErrorLevel.RAISE)
    except SqlglotError as error:
        first = str(error).partition("\n")[0]
        raise UsageError(f"the model {model} can't be said in the SQL of {dialect}: {first}") from error
    prefix = PREFIXES.get(dialect, "")
    parts = [f"{prefix};" if prefix and "quantile_cont(" in text else "", text, _SETTINGS.get(dialect, "")]
    return Rendered(model, dialect, "\n".join(part for part in parts if part), _sources(tree))


def statement(name: str, dialect: str, asked: Asked, *, cut: bool = True) -> tuple[str, tuple[str, ...]]:
    """A relation of the models (a model, or ``sessions_all``: sessions before a selection) from tables or views.

    Args:
        name: which.
        dialect: one of ``DIALECTS``.
        asked: as for ``render``.
        cut: say what waits were spent on.

    Returns:
        The query, and the relations that it reads, which are to be there under their names.
    """
    parts = _Parts(asked, dialect, cut=cut)
    _, inputs = parts.definition(name)
    text = translated(_alone(name, dialect, asked, cut=cut), dialect).sql(dialect)
    return f"{text.replace('spans_whole', 'spans')} {_SETTINGS.get(dialect, '')}".strip(), inputs


def _tree(model: str, dialect: str, asked: Asked) -> exp.Query:
    """The query of a model over the spans: every star written out, each column with its table, none unread."""
    parts = _Parts(asked, dialect, cut=model in _CUT)
    parts.visit(model)
    return pushdown_projections(_whole(parts, dialect, asked.terms, _schema()))


def _alone(model: str, dialect: str, asked: Asked, *, cut: bool = True) -> exp.Query:
    """A model's own query: its inputs are tables."""
    parts = _Parts(asked, dialect, cut=cut)
    tree, inputs = parts.definition(model)
    parts.add(model, tree)
    there = _schema()
    models = {name: name.removesuffix("_all") for name in inputs if name.removesuffix("_all") in MODELS}
    schema = {**there, **{name: dict.fromkeys(_columns(one, dialect), "VARCHAR") for name, one in models.items()}}
    for name in _OF_SPANS.keys() & set(inputs):
        schema[name] = {column: there["spans_whole"][column] for column in _parsed(_OF_SPANS[name]).named_selects}
    return _whole(parts, dialect, asked.terms, schema)


@functools.cache
def _columns(model: str, dialect: str) -> tuple[str, ...]:
    """The columns of a model."""
    return tuple(_alone(model, dialect, Asked()).named_selects)


def _whole(parts: "_Parts", dialect: str, terms: Terms, schema: Mapping[str, Mapping[str, str]]) -> exp.Query:
    """One query of its parts; the last is the one asked for."""
    *ctes, final = parts.ctes
    tree = final.this
    for one in ctes:  # who reads them sorts; and a union may not be sorted where any is recursive (DuckDB)
        if one.this.args.get("limit") is None:
            one.this.set("order", None)
    if ctes:
        recursive = any(one.meta.get("recursive") for one in ctes)
        tree.set("with_", exp.With(expressions=ctes, recursive=recursive))
    values = {name: getattr(terms, name) for name in _VARIABLES}
    said = with_values(tree, values)
    if dialect != "duckdb":
        said = untied(said)
    found = qualify(said, dialect="duckdb", schema=dict(schema), quote_identifiers=False, identify=False)
    assert isinstance(found, exp.Query)  # noqa: S101 - a query stays one
    return found


class _Parts:
    """The common tables of a query, in the order in which they read each other; the last is the model asked for."""

    def __init__(self, asked: Asked, dialect: str, *, cut: bool) -> None:
        self._where = _condition(asked.selection)
        self._dialect, self._cut = dialect, cut
        self._there: set[str] = set()
        self.ctes: list[exp.CTE] = []

    def visit(self, name: str) -> None:
        """Add a relation, and before it those that it reads."""
        if name in self._there or name == "spans" or name in GIVEN:
            return
        self._there.add(name)
        tree, inputs = self.definition(name)
        for needed in inputs:
            self.visit(needed)
        self.add(name, tree)

    def definition(self, name: str) -> tuple[exp.Query, tuple[str, ...]]:
        """The tree of a relation, and the relations that it reads."""
        if name in _OF_SPANS:
            return _parsed(_OF_SPANS[name]), ("spans",)
        if name.removesuffix("_all") == "longest" and not self._cut:
            return _nothing(NO_CUTS["longest"]), ()
        selects = self._where is not None
        model = name.removesuffix("_all")
        if name == model and model in _SELECTED and selects:
            return self._narrowed(model)
        renamed = {}
        if selects:
            renamed = {one: f"{one}_all" for one in _BEFORE_SELECTION.get(model, ())}
        else:
            renamed = {f"{one}_all": one for one in _SELECTED}
        if name != model and not selects:
            return _parsed(f"SELECT * FROM {model}"), (model,)
        tree = _parsed(MODELS[model].text)
        if model == "turns":
            self._without_nested(tree)
        _rename(tree, renamed)
        inputs = tuple(renamed.get(one, one) for one in MODELS[model].inputs)
        return tree, tuple(one for one in inputs if one != "cuts") if model == "turns" else inputs

    def _narrowed(self, model: str) -> tuple[exp.Query, tuple[str, ...]]:
        if model == "sessions":
            tree = _parsed("SELECT * FROM sessions_all")
            tree.set("where", exp.Where(this=self._where.copy() if self._where is not None else exp.true()))
            return tree, ("sessions_all",)
        chosen = f"SELECT * FROM {model}_all WHERE session_id IN (SELECT session_id FROM sessions)"
        return _parsed(chosen), (f"{model}_all", "sessions")

    def _without_nested(self, tree: exp.Query) -> None:
        left_out = {*_NESTED["*"], *_NESTED.get(self._dialect, ())}
        tree.set("expressions", [one for one in tree.selects if one.alias_or_name not in left_out])
        tree.set("joins", [one for one in tree.args["joins"] if one.this.name != "cuts"])

    def add(self, name: str, tree: exp.Query) -> None:
        """A model's own common tables come before it, under names that no other has."""
        with_ = tree.args.get("with_")
        own = with_.expressions if with_ is not None else []
        renamed = {one.alias: f"{name}_{one.alias}" for one in own}
        for one in own:
            one.meta["recursive"] = any(table.name == one.alias for table in one.this.find_all(exp.Table))
        _rename(tree, renamed)
        for one in own:
            columns = one.this.named_selects if one.meta["recursive"] else []  # Trino wants them named
            alias = exp.TableAlias(
                this=exp.to_identifier(renamed[one.alias]), columns=[*map(exp.to_identifier, columns)]
            )
            part = exp.CTE(this=one.this, alias=alias)
            part.meta["recursive"] = one.meta["recursive"]
            self.ctes.append(part)
        tree.set("with_", None)
        self.ctes.append(exp.CTE(this=tree, alias=exp.TableAlias(this=exp.to_identifier(name))))


_OF_SPANS: Final = {
    "wide": f"SELECT {', '.join(WIDE_COLUMNS)} FROM spans_whole",
    # all spans are at hand: the days before a window needn't be read apart
    "before": f"SELECT {', '.join(BEFORE_COLUMNS)} FROM spans WHERE false",
    "open_calls": "SELECT session_id FROM spans WHERE false",
}
"""What the models read beside spans, made of them."""


@functools.cache
def _read(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, read="duckdb")


def _parsed(text: str) -> exp.Query:
    tree = _read(text).copy()
    assert isinstance(tree, exp.Query)  # noqa: S101 - the models are queries
    for node in tree.walk():
        node.comments = None
    return tree


def _rename(tree: exp.Expr, names: Mapping[str, str]) -> None:
    """Tables go by another name, under which nothing else has to change."""
    for table in tree.find_all(exp.Table):
        if table.name in names:
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
            table.set("this", exp.to_identifier(names[table.name]))


def _nothing(columns: str) -> exp.Query:
    """A relation of these columns (as DuckDB declares them; those of texts and numbers) without a row."""
    kinds = dict(one.split() for one in columns.partition(" STRUCT")[0].split(", ") if " " in one)
    listed = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in kinds.items())
    return _parsed(f"SELECT {listed} FROM spans WHERE false")


def _condition(selection: Selection) -> exp.Expr | None:
    """A selection as a condition over sessions; None where all are meant."""
    where, values = selection.where()
    if not where:
        return None
    condition = sqlglot.parse_one(where, read="duckdb")
    for place, value in zip(list(condition.find_all(exp.Placeholder)), _in_order(condition, values), strict=True):
        place.replace(value)
    return condition


def _in_order(condition: exp.Expr, values: list[object]) -> list[exp.Expr]:
    # the tree is walked level by level: places aren't met in the order of the text
    order = {id(place): number for number, place in enumerate(condition.dfs()) if isinstance(place, exp.Placeholder)}
    ranked = sorted(order.values())
    made = [
        exp.cast(exp.Literal.string(value.isoformat(" ", "microseconds")), "TIMESTAMPTZ")
        if hasattr(value, "isoformat")
        else exp.Literal.string(str(value))
        for value in values
    ]
    return [made[ranked.index(order[id(place)])] for place in condition.find_all(exp.Placeholder)]


def _read_spans(tree: exp.Expr, asked: Asked, dialect: str) -> None:
    """Read the warehouse's table; of a moment in the past, what had ended by then."""
    for table in list(tree.find_all(exp.Table)):
        if table.name in ("spans", "spans_whole") and not table.db:
            alias, meant = table.alias_or_name, exp.to_table(asked.spans, dialect=dialect)
            if asked.selection.as_of is None:
                meant.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
                table.replace(meant)
            else:
                table.replace(exp.select("*").from_(meant).where(ended_by(asked.selection.as_of)).subquery(alias))


def _sources(tree: exp.Expr) -> tuple[str, ...]:
    """Tables that the query reads and doesn't define."""
    defined = {one.alias for one in tree.find_all(exp.CTE)}
    return tuple(sorted({exp.table_name(one) for one in tree.find_all(exp.Table)} - defined - {""}))


@functools.cache
def _schema() -> dict[str, dict[str, str]]:
    """Columns of what queries read: names decide, types only have to be there."""
    whole = {one.name: _type(one.type) for one in SPANS_READ}
    spans = {name: whole[name] for name in SPAN_COLUMNS}
    given = {name: dict(part.split() for part in columns.split(",")) for name, columns in GIVEN.items()}
    return {"spans": spans, "spans_whole": whole, **given}


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_type(kind.value_type)}[]"
    if pa.types.is_map(kind):
        return f"MAP({_type(kind.key_type)}, {_type(kind.item_type)})"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{part.name} {_type(part.type)}' for part in kind)})"
    return {"int64": "BIGINT", "int32": "INTEGER", "int16": "SMALLINT", "double": "DOUBLE", "bool": "BOOLEAN"}.get(
        str(kind), "TIMESTAMPTZ" if pa.types.is_timestamp(kind) else "VARCHAR"
    )
