"""The events of spans, a list in each row, as rows of their own: each engine unfolds a list in another way."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import sqlglot
from sqlglot import exp

__all__ = ["DIALECT_EVENTS"]

Rule: TypeAlias = Callable[[exp.Expr], exp.Expr]


def _unfolding(node: exp.Expr) -> exp.Select | None:
    """The select that unfolds ``events``: ``unnest(events) AS event, generate_subscripts(events, 1) AS position``."""
    if isinstance(node, exp.Select) and any(isinstance(one.unalias(), exp.Explode) for one in node.expressions):
        return node
    return None


def _others(select: exp.Select) -> list[exp.Expr]:
    return [one for one in select.expressions if one.alias not in ("event", "position")]


def _in_list(select: exp.Select, *projections: str, dialect: str) -> exp.Expr:
    """Unfolded by functions in the list of what is selected."""
    own = [sqlglot.parse_one(f"SELECT {one}", read=dialect).expressions[0] for one in projections]
    select.set("expressions", [*_others(select), *own])
    return select


def _joined(select: exp.Select, join: str, *projections: str, dialect: str) -> exp.Expr:
    """Unfolded by a join with the list."""
    asked = sqlglot.parse_one(f"SELECT {', '.join(projections)} FROM wide AS wide {join}", read=dialect)
    select.set("expressions", [*_others(select), *asked.expressions])
    select.set("joins", [*(select.args.get("joins") or ()), *(asked.args.get("joins") or ())])
    select.set("laterals", asked.args.get("laterals"))
    return select


def _spark(node: exp.Expr) -> exp.Expr:
    select = _unfolding(node)
    return _in_list(select, "POSEXPLODE(events) AS (position, event)", dialect="spark") if select else node


def _clickhouse(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Dot) and node.this.name == "event":
        return exp.Anonymous(this="tupleElement", expressions=[node.this.copy(), exp.Literal.string(node.name)])
    select = _unfolding(node)
    if select is None:
        return node
    # the same arrayJoin twice is one
    each = "arrayJoin(arrayEnumerate(events))"
    return _in_list(select, f"arrayElement(events, {each}) AS event", f"{each} AS position", dialect="clickhouse")


def _bigquery(node: exp.Expr) -> exp.Expr:
    select = _unfolding(node)
    unnest = "CROSS JOIN UNNEST(events) AS event WITH OFFSET AS position"
    return _joined(select, unnest, "event", "position", dialect="bigquery") if select else node


def _snowflake(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Dot) and node.this.name == "event":
        member = exp.Anonymous(this="GET", expressions=[node.this.copy(), exp.Literal.string(node.name)])
        return exp.cast(member, "BIGINT" if node.name == "unix_nano" else "VARCHAR")
    select = _unfolding(node)
    flat = "CROSS JOIN LATERAL FLATTEN(INPUT => events) AS told_events"
    return (
        _joined(select, flat, "told_events.value AS event", "told_events.index AS position", dialect="snowflake")
        if select
        else node
    )


def _trino(node: exp.Expr) -> exp.Expr:
    select = _unfolding(node)
    # rows would be unfolded into their columns: each is put into a row of one
    unnest = "CROSS JOIN UNNEST(TRANSFORM(events, one -> ROW(one))) WITH ORDINALITY AS told_events(event, position)"
    return _joined(select, unnest, "event", "position", dialect="trino") if select else node


DIALECT_EVENTS: Final[Mapping[str, Rule]] = {
    "spark": _spark,
    "clickhouse": _clickhouse,
    "bigquery": _bigquery,
    "snowflake": _snowflake,
    "trino": _trino,
}
