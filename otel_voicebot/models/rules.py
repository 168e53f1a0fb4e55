"""Where engines differ in what the models' SQL means: one rule for each, a function from a node to its replacement.

A node comes with what is under it already replaced. A rule that has nothing to say gives the node back.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from sqlglot import exp
from sqlglot.errors import UnsupportedError

__all__ = [
    "Rule",
    "at_extremes",
    "call",
    "cast",
    "extremes",
    "hugeints",
    "is_call",
    "json",
    "literal",
    "members",
    "microseconds",
    "moments",
    "numeral",
    "quantiles",
    "quotients",
    "rounded",
    "shifted",
    "simple",
    "spans_of_time",
    "whole_quotients",
    "wide_sums",
]

Rule: TypeAlias = Callable[[exp.Expr], exp.Expr]


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A function by its name, of copies of its arguments."""
    return exp.Anonymous(this=name, expressions=[one.copy() for one in arguments])


def cast(node: exp.Expr, kind: str) -> exp.Cast:
    """A copy of a node as another type, as DuckDB names it."""
    return exp.Cast(this=node.copy(), to=exp.DataType.build(kind, dialect="duckdb"))


def literal(value: str) -> exp.Literal:
    """A text."""
    return exp.Literal.string(value)


def numeral(value: object) -> exp.Expr:
    """A number."""
    return exp.Literal.number(str(value))


# --- times --------------------------------------------------------------------------------------------------------


def moments(make: Callable[[exp.Expr], exp.Expr]) -> Rule:
    """``make_timestamp(micros) AT TIME ZONE 'UTC'``: a moment of so many microseconds since 1970."""

    def rule(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.AtTimeZone) and isinstance(node.this, exp.UnixToTime):
            return make(node.this.this)
        return node

    return rule


def microseconds(make: Callable[[exp.Expr], exp.Expr]) -> Rule:
    """``epoch_us(moment)``: the microseconds since 1970 of a moment."""

    def rule(node: exp.Expr) -> exp.Expr:
        return make(node.expressions[0]) if is_call(node, "epoch_us") else node

    return rule


def is_call(node: exp.Expr, name: str) -> bool:
    """Whether it is a function that SQLGlot doesn't know, of this name."""
    return isinstance(node, exp.Anonymous) and node.name.lower() == name


def spans_of_time(make: Callable[[exp.Expr, str], exp.Expr]) -> Rule:
    """``n * INTERVAL 1 DAY``: not each engine multiplies intervals."""

    def rule(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Mul) and isinstance(node.expression, exp.Interval):
            return make(node.this, node.expression.text("unit").upper())
        return node

    return rule


def shifted(name: str, interval: Callable[[exp.Expr, exp.Expr, str], list[exp.Expr]]) -> Rule:
    """``moment + n * INTERVAL 1 DAY`` as one function call."""

    def rule(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, (exp.Add, exp.Sub)) or not isinstance(node.expression, exp.Mul):
            return node
        count, unit = node.expression.this, node.expression.expression
        if not isinstance(unit, exp.Interval):
            return node
        signed: exp.Expr = count if isinstance(node, exp.Add) else exp.Neg(this=count.copy())
        return exp.Anonymous(this=name, expressions=interval(node.this.copy(), signed, unit.text("unit").upper()))

    return rule


# --- numbers ------------------------------------------------------------------------------------------------------


def rounded(name: str) -> Rule:
    """``(x * 1e9)::BIGINT``: DuckDB rounds, to even; Spark and ClickHouse would cut off."""

    def rule(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Cast) or not node.to.is_type("bigint"):
            return node
        inner = node.this.unnest()
        if isinstance(inner, exp.Mul) and inner.expression.name.lower() == "1e9":
            return cast(call(name, inner), "BIGINT")
        return node

    return rule


_MADE_UP: Final = frozenset({"user_words", "bot_words"})
"""What senders count and models add without a TRY_CAST at once."""


def wide_sums(kind: str) -> Rule:
    """Sums of what senders made up: DuckDB has 128 bits for them and then says null beyond 64; others fail or wrap."""

    def rule(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Sum):
            return node
        if node.find_ancestor(exp.TryCast) or any(one.name in _MADE_UP for one in node.find_all(exp.Column)):
            return exp.Sum(this=cast(node.this, kind))
        return node

    return rule


def hugeints(kind: str) -> Rule:
    """Whole numbers of 128 bits, which few have."""

    def rule(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Cast) and node.to.is_type("int128"):
            return cast(node.this, kind)
        return node

    return rule


def quotients(*, double: bool) -> Rule:
    """Dividing by 0 gives null, and integers don't divide as integers or as decimals of few digits."""

    def rule(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Div) or node.args.get("typed"):
            return node
        above, below = node.this, node.expression
        if double and not (isinstance(above, exp.Cast) and above.to.is_type("double")):
            above = cast(above.unnest(), "DOUBLE")
        if not below.unnest().is_number:
            below = exp.Nullif(this=below.unnest().copy(), expression=numeral(0))
        return exp.Div(this=above.copy(), expression=below.copy(), typed=node.args.get("typed"), safe=None)

    return rule


def whole_quotients(make: Callable[[exp.Expr, exp.Expr], exp.Expr]) -> Rule:
    """``a // b``: by way of a float it would lose the last digits of nanoseconds."""

    def rule(node: exp.Expr) -> exp.Expr:
        return make(node.this, node.expression) if isinstance(node, exp.IntDiv) else node

    return rule


def extremes(node: exp.Expr) -> exp.Expr:
    """LEAST and GREATEST leave nulls out; here they would give null for one."""
    if isinstance(node, (exp.Least, exp.Greatest)):
        several = [node.this, *node.expressions]
        if len(several) != 2:
            raise UnsupportedError(f"{node.key} of {len(several)} values that may be null")
        bare = type(node)(this=several[0].copy(), expressions=[several[1].copy()], ignore_nulls=False)
        return exp.Coalesce(this=bare, expressions=[one.copy() for one in several])
    return node


def quantiles(make: Callable[[exp.Expr, exp.Expr], exp.Expr]) -> Rule:
    """``quantile_cont``: exact, linear between the two nearest values."""

    def rule(node: exp.Expr) -> exp.Expr:
        return make(node.this, node.expression) if isinstance(node, exp.PercentileCont) else node

    return rule


# --- rows ---------------------------------------------------------------------------------------------------------


def at_extremes(node: exp.Expr) -> exp.Expr:
    """``arg_min(x, y)`` leaves out rows without x, ``arg_min_null`` doesn't; MIN_BY leaves out those without y."""
    if isinstance(node, (exp.ArgMin, exp.ArgMax)):
        order = node.expression
        if not isinstance(order, exp.Case):
            order = exp.Case().when(node.this.copy().is_(exp.null()).not_(), order.copy())
        return call("MIN_BY" if isinstance(node, exp.ArgMin) else "MAX_BY", node.this, order)
    if is_call(node, "arg_min_null") or is_call(node, "arg_max_null"):
        return call("MIN_BY" if "min" in node.name else "MAX_BY", *node.expressions)
    return node


def json(make: Callable[[exp.Expr, str], exp.Expr]) -> Rule:
    """``json_extract_string(x, '$."key"')``: one member of an object, whose name holds dots."""

    def rule(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.JSONExtractScalar):
            return make(node.this, str(node.expression.expressions[-1].this))
        return node

    return rule


def members(make: Callable[[exp.Expr, exp.Expr], exp.Expr]) -> Rule:
    """``map['key']``: null where there is no such key."""

    def rule(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Bracket) and node.expressions[0].is_string:
            return make(node.this, node.expressions[0])
        return node

    return rule


def simple(kinds: Mapping[type[exp.Expr], str]) -> Rule:
    """Functions of one argument that go by another name."""

    def rule(node: exp.Expr) -> exp.Expr:
        name = kinds.get(type(node))
        return node if name is None else call(name, node.this)

    return rule
