"""Where engines differ in what the models' SQL means: one rule for each, a function from a node to its replacement.

A node comes with what is under it already replaced. A rule that has nothing to say gives the node back.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from sqlglot import exp
from sqlglot.errors import UnsupportedError

from otel_voicebot.models.dialect_events import DIALECT_EVENTS

__all__ = ["DIALECT_RULES", "PREFIXES", "Rule"]

Rule: TypeAlias = Callable[[exp.Expression], exp.Expression]


def _call(name: str, *arguments: exp.Expression) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[one.copy() for one in arguments])


def _cast(node: exp.Expression, kind: str) -> exp.Cast:
    return exp.Cast(this=node.copy(), to=exp.DataType.build(kind, dialect="duckdb"))


def _text(value: str) -> exp.Literal:
    return exp.Literal.string(value)


def _number(value: object) -> exp.Literal:
    return exp.Literal.number(str(value))


# --- times --------------------------------------------------------------------------------------------------------


def _moments(make: Callable[[exp.Expression], exp.Expression]) -> Rule:
    """``make_timestamp(micros) AT TIME ZONE 'UTC'``: a moment of so many microseconds since 1970."""

    def rule(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.AtTimeZone) and isinstance(node.this, exp.UnixToTime):
            return make(node.this.this)
        return node

    return rule


def _microseconds(make: Callable[[exp.Expression], exp.Expression]) -> Rule:
    """``epoch_us(moment)``: the microseconds since 1970 of a moment."""

    def rule(node: exp.Expression) -> exp.Expression:
        return make(node.expressions[0]) if _is_call(node, "epoch_us") else node

    return rule


def _is_call(node: exp.Expression, name: str) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == name


def _spans_of_time(make: Callable[[exp.Expression, str], exp.Expression]) -> Rule:
    """``n * INTERVAL 1 DAY``: not each engine multiplies intervals."""

    def rule(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Mul) and isinstance(node.expression, exp.Interval):
            return make(node.this, node.expression.text("unit").upper())
        return node

    return rule


def _shifted(name: str, interval: Callable[[exp.Expression, str], list[exp.Expression]]) -> Rule:
    """``moment + n * INTERVAL 1 DAY`` as one function call."""

    def rule(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, (exp.Add, exp.Sub)) or not isinstance(node.expression, exp.Mul):
            return node
        number, unit = node.expression.this, node.expression.expression
        if not isinstance(unit, exp.Interval):
            return node
        signed = number if isinstance(node, exp.Add) else exp.Neg(this=number.copy())
        return exp.Anonymous(this=name, expressions=interval(node.this.copy(), signed, unit.text("unit").upper()))  # type: ignore[call-arg]

    return rule


# --- numbers ------------------------------------------------------------------------------------------------------


def _rounded(name: str) -> Rule:
    """``(x * 1e9)::BIGINT``: DuckDB rounds, to even; Spark and ClickHouse would cut off."""

    def rule(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Cast) or not node.to.is_type("bigint"):
            return node
        inner = node.this.unnest()
        if isinstance(inner, exp.Mul) and inner.expression.name.lower() == "1e9":
            return _cast(_call(name, inner), "BIGINT")
        return node

    return rule


_MADE_UP: Final = frozenset({"user_words", "bot_words"})
"""What senders count and models add without a TRY_CAST at once."""


def _wide_sums(kind: str) -> Rule:
    """Sums of what senders made up: DuckDB has 128 bits for them and then says null beyond 64; others fail or wrap."""

    def rule(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Sum):
            return node
        if node.find_ancestor(exp.TryCast) or any(one.name in _MADE_UP for one in node.find_all(exp.Column)):
            return exp.Sum(this=_cast(node.this, kind))
        return node

    return rule


def _hugeints(kind: str) -> Rule:
    def rule(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Cast) and node.to.is_type("int128"):
            return _cast(node.this, kind)
        return node

    return rule


def _quotients(*, double: bool) -> Rule:
    """Dividing by 0 gives null, and integers don't divide as integers or as decimals of few digits."""

    def rule(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Div) or node.args.get("typed"):
            return node
        above, below = node.this, node.expression
        if double and not (isinstance(above, exp.Cast) and above.to.is_type("double")):
            above = _cast(above.unnest(), "DOUBLE")
        if not below.unnest().is_number:
            below = exp.Nullif(this=below.unnest().copy(), expression=_number(0))
        return exp.Div(this=above.copy(), expression=below.copy(), typed=node.args.get("typed"), safe=None)

    return rule


def _whole_quotients(make: Callable[[exp.Expression, exp.Expression], exp.Expression]) -> Rule:
    """``a // b``: by way of a float it would lose the last digits of nanoseconds."""

    def rule(node: exp.Expression) -> exp.Expression:
        return make(node.this, node.expression) if isinstance(node, exp.IntDiv) else node

    return rule


def _extremes(node: exp.Expression) -> exp.Expression:
    """LEAST and GREATEST leave nulls out; here they would give null for one."""
    if isinstance(node, (exp.Least, exp.Greatest)):
        several = [node.this, *node.expressions]
        if len(several) != 2:
            raise UnsupportedError(f"{node.key} of {len(several)} values that may be null")
        bare = type(node)(this=several[0].copy(), expressions=[several[1].copy()], ignore_nulls=False)
        return exp.Coalesce(this=bare, expressions=[one.copy() for one in several])
    return node


def _quantiles(make: Callable[[exp.Expression, exp.Expression], exp.Expression]) -> Rule:
    """``quantile_cont``: exact, linear between the two nearest values."""

    def rule(node: exp.Expression) -> exp.Expression:
        return make(node.this, node.expression) if isinstance(node, exp.PercentileCont) else node

    return rule


# --- rows ---------------------------------------------------------------------------------------------------------


def _at_extremes(node: exp.Expression) -> exp.Expression:
    """``arg_min(x, y)`` leaves out rows without x, ``arg_min_null`` doesn't; MIN_BY leaves out those without y."""
    if isinstance(node, (exp.ArgMin, exp.ArgMax)):
        order = node.expression
        if not isinstance(order, exp.Case):
            order = exp.Case().when(node.this.copy().is_(exp.null()).not_(), order.copy())
        return _call("MIN_BY" if isinstance(node, exp.ArgMin) else "MAX_BY", node.this, order)
    if _is_call(node, "arg_min_null") or _is_call(node, "arg_max_null"):
        return _call("MIN_BY" if "min" in node.name else "MAX_BY", *node.expressions)
    return node


def _json(make: Callable[[exp.Expression, str], exp.Expression]) -> Rule:
    """``json_extract_string(x, '$."key"')``: one member of an object, whose name holds dots."""

    def rule(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.JSONExtractScalar):
            return make(node.this, str(node.expression.expressions[-1].this))
        return node

    return rule


def _members(make: Callable[[exp.Expression, exp.Expression], exp.Expression]) -> Rule:
    """``map['key']``: null where there is no such key."""

    def rule(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Bracket) and node.expressions[0].is_string:
            return make(node.this, node.expressions[0])
        return node

    return rule


def _simple(kinds: Mapping[type[exp.Expression], str]) -> Rule:
    """Functions of one argument that go by another name."""

    def rule(node: exp.Expression) -> exp.Expression:
        name = kinds.get(type(node))
        return node if name is None else _call(name, node.this)

    return rule


# --- ClickHouse ---------------------------------------------------------------------------------------------------


def _clickhouse_at_extremes(node: exp.Expression) -> exp.Expression:
    if _is_call(node, "arg_min_null") or _is_call(node, "arg_max_null"):
        value, order = node.expressions
        # an aggregate leaves out rows with a null argument; a tuple isn't null
        return _call(
            "tupleElement",
            _call("argMin" if "min" in node.name else "argMax", _call("tuple", value), order),
            _number(1),
        )
    return node


def _clickhouse_casts(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.TryCast):
        return _call("accurateCastOrNull", node.this, _text("Int64"))
    if isinstance(node, exp.Cast) and node.to.is_type("timestamptz") and node.this.is_string:
        return _call("toDateTime64", _text(node.this.name.partition("+")[0]), _number(6), _text("UTC"))
    if isinstance(node, exp.Cast) and node.to.is_type("decimal") and not node.args.get("typed"):
        # it cuts the digits beyond off, which others round
        half = exp.Add(this=exp.Paren(this=node.this.unnest().copy()), expression=_number("5e-13"))
        return exp.Cast(this=half, to=node.to.copy(), typed=True)
    return node


def _clickhouse_joined(node: exp.Expression) -> exp.Expression:
    """``string_agg(x, ' ' ORDER BY a, b)``."""
    if not isinstance(node, exp.GroupConcat):
        return node
    order = node.this
    keys = [one.this for one in order.expressions]
    text = order.this
    several = _call("groupArrayIf", _call("tuple", *keys, _call("assumeNotNull", text)), text.is_(exp.null()).not_())
    picked = exp.Lambda(
        this=_call("tupleElement", exp.column("one"), _number(len(keys) + 1)), expressions=[exp.to_identifier("one")]
    )
    joined = _call("arrayStringConcat", _call("arrayMap", picked, _call("arraySort", several)), node.args["separator"])
    return exp.Nullif(this=joined, expression=_text(""))


_COUNTS: Final = (exp.Count, exp.RowNumber, exp.Rank)


def _clickhouse_counts(node: exp.Expression) -> exp.Expression:
    """Counts have no sign there, and nothing holds both such a number and one with a sign."""
    if isinstance(node, exp.Window) and isinstance(node.this, _COUNTS):
        return _call("toInt64", node)
    if isinstance(node, exp.Count) and not isinstance(node.parent, exp.Window):
        return _call("toInt64", node)
    return node


_MEASURES: Final = frozenset({"numerator", "denominator", "factor"})


def _clickhouse_branches(node: exp.Expression) -> exp.Expression:
    """Whole numbers and others in one column of a union would be of two types there, at once."""
    in_union = isinstance(node.parent, exp.Select) and isinstance(node.parent.parent, exp.Union)
    if isinstance(node, exp.Alias) and in_union and node.alias in _MEASURES:
        return exp.alias_(_cast(node.this, "DOUBLE"), node.alias)
    return node


def _clickhouse_lists(node: exp.Expression) -> exp.Expression:
    """``list(x ORDER BY x) FILTER (c)``: a list of nothing is empty there, as no list can be null."""
    if not isinstance(node, exp.Filter) or not isinstance(node.this, exp.ArrayAgg):
        return node
    what, condition = node.this.this, node.expression.this
    if isinstance(what, exp.Order):
        return _call("arraySort", _call("groupArrayIf", what.this, condition))
    return _call("groupArrayIf", what, condition)


def _spark_lists(node: exp.Expression) -> exp.Expression:
    """The same; a list of nothing is null, as it is elsewhere."""
    if not isinstance(node, exp.Filter) or not isinstance(node.this, exp.ArrayAgg):
        return node
    what, condition = node.this.this, node.expression.copy()
    plain = what.this if isinstance(what, exp.Order) else what
    several = exp.Filter(this=_call("COLLECT_LIST", plain), expression=condition)
    if not isinstance(what, exp.Order):
        return several
    return exp.Nullif(this=_call("ARRAY_SORT", several), expression=_call("ARRAY"))


def _clickhouse_quantile(value: exp.Expression, share: exp.Expression) -> exp.Expression:
    return exp.ParameterizedAgg(this="quantileExactInclusive", expressions=[share.copy()], params=[value.copy()])


# --- Snowflake, Trino, BigQuery -----------------------------------------------------------------------------------


def _trino_quantile(value: exp.Expression, share: exp.Expression) -> exp.Expression:
    """Trino has only approximate ones: the sorted values, and the two at the place."""
    q = share.name
    text = (
        "ELEMENT_AT(TRANSFORM(ARRAY[ARRAY_SORT(ARRAY_AGG(x) FILTER (WHERE x IS NOT NULL))], s -> "
        f"ELEMENT_AT(s, CAST(FLOOR({q} * (CARDINALITY(s) - 1)) AS BIGINT) + 1)"
        f" + (ELEMENT_AT(s, CAST(CEIL({q} * (CARDINALITY(s) - 1)) AS BIGINT) + 1)"
        f" - ELEMENT_AT(s, CAST(FLOOR({q} * (CARDINALITY(s) - 1)) AS BIGINT) + 1))"
        f" * CAST({q} * (CARDINALITY(s) - 1) - FLOOR({q} * (CARDINALITY(s) - 1)) AS DOUBLE)), 1)"
    )
    tree = exp.maybe_parse(text, dialect="trino")
    for column in list(tree.find_all(exp.Column)):
        if column.name == "x":
            column.replace(_cast(value, "DOUBLE"))
    return tree


def _bigquery_quantile(value: exp.Expression, share: exp.Expression) -> exp.Expression:
    values = exp.ArrayAgg(this=exp.IgnoreNulls(this=_cast(value, "DOUBLE")))
    return exp.Anonymous(this="quantile_cont", expressions=[values, share.copy()])


PREFIXES: Final = {
    "bigquery": """CREATE TEMP FUNCTION quantile_cont(items ARRAY<FLOAT64>, share FLOAT64) AS ((
  SELECT
    s[SAFE_OFFSET(CAST(FLOOR(share * (ARRAY_LENGTH(s) - 1)) AS INT64))]
    + (s[SAFE_OFFSET(CAST(CEIL(share * (ARRAY_LENGTH(s) - 1)) AS INT64))]
       - s[SAFE_OFFSET(CAST(FLOOR(share * (ARRAY_LENGTH(s) - 1)) AS INT64))])
    * (share * (ARRAY_LENGTH(s) - 1) - FLOOR(share * (ARRAY_LENGTH(s) - 1)))
  FROM (SELECT ARRAY(SELECT item FROM UNNEST(items) AS item ORDER BY item) AS s)
))""",
}
"""What must stand before a query that says ``quantile_cont``: BigQuery has no exact percentile that aggregates."""


def _bigquery_decimals(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.Cast) and node.to.is_type("decimal") and not node.args.get("typed"):
        wide = exp.Cast(this=node.this.copy(), to=exp.DataType.build("BIGDECIMAL"), typed=True)
        return exp.Round(this=wide, decimals=_number(12))
    return node


def _bigquery_order(node: exp.Expression) -> exp.Expression:
    """In an aggregate there is no NULLS LAST, and here none is needed: what is sorted by is never null."""
    if isinstance(node, exp.GroupConcat):
        for one in node.find_all(exp.Ordered):
            one.set("nulls_first", True)
    return node


def _bigquery_windows(node: exp.Expression) -> exp.Expression:
    """A window has no NULLS LAST there: whether a value is null is sorted by first."""
    if not isinstance(node, exp.Window) or not isinstance(order := node.args.get("order"), exp.Order):
        return node
    spec = node.args.get("spec")
    # an offset of a range wants one key; what is counted by minutes is never null
    ranged = spec is not None and spec.args.get("kind") == "RANGE"
    keys: list[exp.Expression] = []
    for one in order.expressions:
        if not (one.args.get("desc") or ranged):
            keys.append(exp.Ordered(this=one.this.copy().is_(exp.null()), nulls_first=True))
        keys.append(exp.Ordered(this=one.this.copy(), desc=one.args.get("desc"), nulls_first=not one.args.get("desc")))
    order.set("expressions", keys)
    return node


def _snowflake_joined(node: exp.Expression) -> exp.Expression:
    """LISTAGG of nothing is an empty text there, not null."""
    if isinstance(node, exp.GroupConcat) and not isinstance(node.parent, exp.Nullif):
        return exp.Nullif(this=node.copy(), expression=_text(""))
    return node


def _unit(unit: str) -> exp.Var:
    return exp.Var(this=unit)


def _snowflake_try(node: exp.Expression) -> exp.Expression:
    """TRY_CAST takes texts only; a whole number has 38 digits, beyond which nothing adds up here."""
    return node.this if isinstance(node, exp.TryCast) else node


DIALECT_RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "duckdb": (),
    "spark": (
        _moments(lambda micros: _call("TIMESTAMP_MICROS", micros)),
        _microseconds(lambda moment: _call("UNIX_MICROS", moment)),
        _rounded("RINT"),
        _wide_sums("DECIMAL(28, 0)"),
        _hugeints("DECIMAL(38, 0)"),
        _quotients(double=True),
        _quantiles(lambda value, share: _call("PERCENTILE", value, share)),
        _at_extremes,
        _json(lambda text, key: _call("GET_JSON_OBJECT", text, _text(f"$['{key}']"))),
        _spark_lists,
        DIALECT_EVENTS["spark"],
    ),
    "clickhouse": (
        _moments(lambda micros: _call("fromUnixTimestamp64Micro", micros, _text("UTC"))),
        _microseconds(lambda moment: _call("toUnixTimestamp64Micro", moment)),
        _spans_of_time(lambda number, unit: _call(f"toInterval{unit.capitalize()}", number)),
        _rounded("ROUND"),
        _wide_sums("HUGEINT"),
        _quotients(double=False),
        _whole_quotients(lambda above, below: _call("intDiv", above, below)),
        _quantiles(_clickhouse_quantile),
        _clickhouse_at_extremes,
        _clickhouse_casts,
        _clickhouse_joined,
        _clickhouse_counts,
        _clickhouse_branches,
        _clickhouse_lists,
        _simple({exp.LogicalOr: "max", exp.LogicalAnd: "min", exp.ArraySort: "arraySort", exp.Flatten: "arrayFlatten"}),
        _json(lambda text, key: _call("JSONExtract", text, _text(key), _text("Nullable(String)"))),
        _members(
            lambda held, key: exp.Nullif(
                this=exp.Bracket(this=held.copy(), expressions=[key.copy()]), expression=_text("")
            )
        ),
        DIALECT_EVENTS["clickhouse"],
    ),
    "bigquery": (
        _moments(lambda micros: _call("TIMESTAMP_MICROS", micros)),
        _microseconds(lambda moment: _call("UNIX_MICROS", moment)),
        _shifted(
            "TIMESTAMP_ADD",
            lambda at, number, unit: [at, exp.Interval(this=exp.Paren(this=number.copy()), unit=_unit(unit))],
        ),
        _wide_sums("BIGDECIMAL"),
        _hugeints("BIGDECIMAL"),
        _quotients(double=False),
        _extremes,
        _quantiles(_bigquery_quantile),
        _at_extremes,
        _bigquery_decimals,
        _bigquery_order,
        _bigquery_windows,
        _json(lambda text, key: _call("JSON_VALUE", text, _text(f'$."{key}"'))),
        DIALECT_EVENTS["bigquery"],
    ),
    "snowflake": (
        _moments(lambda micros: _call("TO_TIMESTAMP_TZ", micros, _number(6))),
        _microseconds(lambda moment: _call("DATE_PART", exp.Var(this="EPOCH_MICROSECOND"), moment)),
        _shifted("DATEADD", lambda at, number, unit: [_unit(unit), number.copy(), at]),
        _hugeints("DECIMAL(38, 0)"),
        _snowflake_try,
        _quotients(double=True),
        _at_extremes,
        _snowflake_joined,
        _json(lambda text, key: _cast(_call("GET", _call("TRY_PARSE_JSON", text), _text(key)), "VARCHAR")),
        _members(lambda held, key: _cast(_call("GET", held, key), "VARCHAR")),
        DIALECT_EVENTS["snowflake"],
    ),
    "trino": (
        _moments(
            lambda micros: _call(
                "FROM_UNIXTIME_NANOS", exp.Mul(this=exp.Paren(this=micros.copy()), expression=_number(1000))
            )
        ),
        _microseconds(
            lambda moment: _cast(exp.Mul(this=_call("TO_UNIXTIME", moment), expression=_number(1000000)), "BIGINT")
        ),
        _wide_sums("DECIMAL(38, 0)"),
        _hugeints("DECIMAL(38, 0)"),
        _whole_quotients(lambda above, below: exp.Div(this=above.copy(), expression=below.copy(), typed=True)),
        _quotients(double=False),
        _extremes,
        _quantiles(_trino_quantile),
        _at_extremes,
        _json(lambda text, key: _call("JSON_EXTRACT_SCALAR", text, _text(f'$["{key}"]'))),
        _members(lambda held, key: _call("ELEMENT_AT", held, key)),
        DIALECT_EVENTS["trino"],
    ),
}
"""By dialect, in the order in which they are asked."""
