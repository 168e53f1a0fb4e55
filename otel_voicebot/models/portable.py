"""What of the models' SQL means something else in another engine, and how it is said there.

SQLGlot knows the grammars; what it doesn't know stands here: a rule for each difference of meaning, over its syntax
tree. A construct for which an engine has no rule raises ``UnsupportedError``: no SQL is better than one that counts
something else.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlglot import exp

from otel_voicebot.models.dialect_rules import DIALECT_RULES, Rule

__all__ = ["translated", "untied", "with_values"]

Values = Mapping[str, object]


def with_values(tree: exp.Expr, values: Values) -> exp.Expr:
    """The tree with variables (``getvariable('as_of')``) replaced by their values, and ids as the hex they are."""

    def change(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Anonymous) and node.name.lower() == "getvariable":
            return _literal(values[node.expressions[0].name])
        # a warehouse reads the store's history, where ids are lowercase hex already
        return node.this if isinstance(node, exp.LowerHex) else node

    return tree.transform(change)


def _literal(value: object) -> exp.Expr:
    if isinstance(value, datetime):
        return exp.cast(exp.Literal.string(value.isoformat(" ", "microseconds")), "TIMESTAMPTZ")
    return exp.cast(exp.Literal.number(repr(value)), "DOUBLE")


def untied(tree: exp.Expr) -> exp.Expr:
    """The tree without what only DuckDB has, in words that all engines have: before any dialect's own rules."""
    for with_ in tree.find_all(exp.CTE):
        with_.set("materialized", None)
    _name_branches(tree)
    _inline_windows(tree)
    _split_quantiles(tree)
    return tree.transform(_values_as_selects).transform(_whole)


def _name_branches(tree: exp.Expr) -> None:
    """Every branch of a union calls its columns as the first one does; unnamed constants would share names."""
    for union in tree.find_all(exp.Union):
        first: exp.Query = union
        while isinstance(first, exp.Union):
            first = first.left
        names, other = first.named_selects, union.right
        if not isinstance(other, exp.Select) or other.is_star or "*" in names:
            continue
        named = [exp.alias_(one.unalias(), name) for one, name in zip(other.expressions, names, strict=True)]
        other.set("expressions", named)


def _inline_windows(tree: exp.Expr) -> None:
    """Named windows are written out: Snowflake has none."""
    for select in tree.find_all(exp.Select):
        named = {window.name: window for window in select.args.get("windows") or ()}
        for window in list(select.find_all(exp.Window)) if named else ():
            if (alias := window.args.get("alias")) is None or window.this is None or alias.name not in named:
                continue
            if window in named.values():
                continue
            meant = named[alias.name].copy()
            window.set("alias", None)
            for part in ("partition_by", "order", "spec"):
                window.set(part, meant.args.get(part))
        select.set("windows", None)


def _split_quantiles(tree: exp.Expr) -> None:
    """``quantile_cont(x, [a, b]) AS q`` becomes a column for each: few engines have lists of them."""
    split: dict[str, int] = {}
    for quantile in list(tree.find_all(exp.PercentileCont)):
        wanted, alias = quantile.expression, quantile.parent
        if not isinstance(wanted, exp.Array) or alias is None or (select := alias.parent) is None:
            continue
        new = [
            exp.alias_(exp.PercentileCont(this=quantile.this.copy(), expression=part.copy()), f"{alias.alias}_{number}")
            for number, part in enumerate(wanted.expressions, 1)
        ]
        split[alias.alias] = len(new)
        at = select.expressions.index(alias)
        select.set("expressions", [*select.expressions[:at], *new, *select.expressions[at + 1 :]])
    for bracket in list(tree.find_all(exp.Bracket)):
        column = bracket.this
        if isinstance(column, exp.Column) and column.name in split:
            # SQLGlot counts from 0 in its tree
            number = int(bracket.expressions[0].name) + 1
            bracket.replace(exp.column(f"{column.name}_{number}", column.table or None))


def _values_as_selects(node: exp.Expr) -> exp.Expr:
    """``(VALUES (1), (2)) n(x)`` becomes a union: each engine has its own words for a table of constants."""
    if not (isinstance(node, exp.Values) and node.alias):
        return node
    names = node.alias_column_names
    rows = [
        exp.select(*(exp.alias_(value.copy(), name) for value, name in zip(row.expressions, names, strict=True)))
        for row in node.expressions
    ]
    whole: exp.Query = rows[0]
    for row in rows[1:]:
        whole = exp.union(whole, row, distinct=False, copy=False)
    return exp.Subquery(this=whole, alias=exp.TableAlias(this=exp.to_identifier(node.alias)))


def _whole(node: exp.Expr) -> exp.Expr:
    """Any of a group's values that differ in nothing: the largest. Not each engine leaves nulls out of ANY_VALUE."""
    if isinstance(node, exp.IgnoreNulls) and isinstance(node.this, exp.AnyValue):
        return exp.Max(this=node.this.this)
    return exp.Max(this=node.this) if isinstance(node, exp.AnyValue) else node


def translated(tree: exp.Expr, dialect: str) -> exp.Expr:
    """The tree in the words of a dialect, for SQLGlot's generator of it.

    Raises:
        sqlglot.errors.UnsupportedError: it has no words for something in it.
    """
    rules: tuple[Rule, ...] = DIALECT_RULES[dialect]

    def change(node: exp.Expr) -> exp.Expr:
        for rule in rules:
            node = rule(node)
        return node

    # from the leaves: what a rule makes isn't looked at by it again
    return _bottom_up(tree, change)


def _bottom_up(tree: exp.Expr, change: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    for node in reversed(list(tree.walk())):
        new = change(node)
        if new is not node:
            if node is tree:
                return new
            node.replace(new)
    return tree
