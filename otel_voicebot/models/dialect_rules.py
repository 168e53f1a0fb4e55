"""Where engines differ in what the models' SQL means: which rule holds for which, and the rules of one alone."""

from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from otel_voicebot.models.dialect_events import DIALECT_EVENTS
from otel_voicebot.models.rules import (
    Rule,
    at_extremes,
    call,
    cast,
    extremes,
    hugeints,
    is_call,
    json,
    literal,
    members,
    microseconds,
    moments,
    numeral,
    quantiles,
    quotients,
    rounded,
    shifted,
    simple,
    spans_of_time,
    whole_quotients,
    wide_sums,
)

__all__ = ["DIALECT_RULES", "PREFIXES", "Rule"]

# --- ClickHouse ---------------------------------------------------------------------------------------------------


def _clickhouse_at_extremes(node: exp.Expr) -> exp.Expr:
    if is_call(node, "arg_min_null") or is_call(node, "arg_max_null"):
        value, order = node.expressions
        # an aggregate leaves out rows with a null argument; a tuple isn't null
        return call(
            "tupleElement",
            call("argMin" if "min" in node.name else "argMax", call("tuple", value), order),
            numeral(1),
        )
    return node


def _clickhouse_casts(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.TryCast):
        return call("accurateCastOrNull", node.this, literal("Int64"))
    if isinstance(node, exp.Cast) and node.to.is_type("timestamptz") and node.this.is_string:
        return call("toDateTime64", literal(node.this.name.partition("+")[0]), numeral(6), literal("UTC"))
    if isinstance(node, exp.Cast) and node.to.is_type("decimal") and not node.args.get("typed"):
        # it cuts the digits beyond off, which others round
        half = exp.Add(this=exp.Paren(this=node.this.unnest().copy()), expression=numeral("5e-13"))
        return exp.Cast(this=half, to=node.to.copy(), typed=True)
    return node


def _clickhouse_joined(node: exp.Expr) -> exp.Expr:
    """``string_agg(x, ' ' ORDER BY a, b)``."""
    if not isinstance(node, exp.GroupConcat):
        return node
    order = node.this
    keys = [one.this for one in order.expressions]
    text = order.this
    several = call("groupArrayIf", call("tuple", *keys, call("assumeNotNull", text)), text.is_(exp.null()).not_())
    picked = exp.Lambda(
        this=call("tupleElement", exp.column("one"), numeral(len(keys) + 1)), expressions=[exp.to_identifier("one")]
    )
    joined = call("arrayStringConcat", call("arrayMap", picked, call("arraySort", several)), node.args["separator"])
    return exp.Nullif(this=joined, expression=literal(""))


_COUNTS: Final = (exp.Count, exp.RowNumber, exp.Rank)


def _clickhouse_counts(node: exp.Expr) -> exp.Expr:
    """Counts have no sign there, and nothing holds both such a number and one with a sign."""
    if isinstance(node, exp.Window) and isinstance(node.this, _COUNTS):
        return call("toInt64", node)
    if isinstance(node, exp.Count) and not isinstance(node.parent, exp.Window):
        return call("toInt64", node)
    return node


_MEASURES: Final = frozenset({"numerator", "denominator", "factor"})


def _clickhouse_branches(node: exp.Expr) -> exp.Expr:
    """Whole numbers and others in one column of a union would be of two types there, at once."""
    in_union = isinstance(node.parent, exp.Select) and isinstance(node.parent.parent, exp.Union)
    if isinstance(node, exp.Alias) and in_union and node.alias in _MEASURES:
        return exp.alias_(cast(node.this, "DOUBLE"), node.alias)
    return node


def _clickhouse_lists(node: exp.Expr) -> exp.Expr:
    """``list(x ORDER BY x) FILTER (c)``: a list of nothing is empty there, as no list can be null."""
    if not isinstance(node, exp.Filter) or not isinstance(node.this, exp.ArrayAgg):
        return node
    what, condition = node.this.this, node.expression.this
    if isinstance(what, exp.Order):
        return call("arraySort", call("groupArrayIf", what.this, condition))
    return call("groupArrayIf", what, condition)


def _spark_lists(node: exp.Expr) -> exp.Expr:
    """The same; a list of nothing is null, as it is elsewhere."""
    if not isinstance(node, exp.Filter) or not isinstance(node.this, exp.ArrayAgg):
        return node
    what, condition = node.this.this, node.expression.copy()
    plain = what.this if isinstance(what, exp.Order) else what
    several = exp.Filter(this=call("COLLECT_LIST", plain), expression=condition)
    if not isinstance(what, exp.Order):
        return several
    return exp.Nullif(this=call("ARRAY_SORT", several), expression=call("ARRAY"))


def _clickhouse_quantile(value: exp.Expr, share: exp.Expr) -> exp.Expr:
    return exp.ParameterizedAgg(this="quantileExactInclusive", expressions=[share.copy()], params=[value.copy()])


# --- Snowflake, Trino, BigQuery -----------------------------------------------------------------------------------


def _trino_quantile(value: exp.Expr, share: exp.Expr) -> exp.Expr:
    """Trino has only approximate ones: the sorted values, and the two at the place."""
    q = share.name
    text = (
        "ELEMENT_AT(TRANSFORM(ARRAY[ARRAY_SORT(ARRAY_AGG(x) FILTER (WHERE x IS NOT NULL))], s -> "
        f"ELEMENT_AT(s, CAST(FLOOR({q} * (CARDINALITY(s) - 1)) AS BIGINT) + 1)"
        f" + (ELEMENT_AT(s, CAST(CEIL({q} * (CARDINALITY(s) - 1)) AS BIGINT) + 1)"
        f" - ELEMENT_AT(s, CAST(FLOOR({q} * (CARDINALITY(s) - 1)) AS BIGINT) + 1))"
        f" * CAST({q} * (CARDINALITY(s) - 1) - FLOOR({q} * (CARDINALITY(s) - 1)) AS DOUBLE)), 1)"
    )
    tree: exp.Expr = exp.maybe_parse(text, dialect="trino")
    for column in list(tree.find_all(exp.Column)):
        if column.name == "x":
            column.replace(cast(value, "DOUBLE"))
    return tree


def _bigquery_quantile(value: exp.Expr, share: exp.Expr) -> exp.Expr:
    values = exp.ArrayAgg(this=exp.IgnoreNulls(this=cast(value, "DOUBLE")))
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


def _bigquery_decimals(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Cast) and node.to.is_type("decimal") and not node.args.get("typed"):
        wide = exp.Cast(this=node.this.copy(), to=exp.DataType.build("BIGDECIMAL"), typed=True)
        return exp.Round(this=wide, decimals=numeral(12))
    return node


def _bigquery_order(node: exp.Expr) -> exp.Expr:
    """In an aggregate there is no NULLS LAST, and here none is needed: what is sorted by is never null."""
    if isinstance(node, exp.GroupConcat):
        for one in node.find_all(exp.Ordered):
            one.set("nulls_first", True)  # noqa: FBT003
    return node


def _bigquery_windows(node: exp.Expr) -> exp.Expr:
    """A window has no NULLS LAST there: whether a value is null is sorted by first."""
    if not isinstance(node, exp.Window) or not isinstance(order := node.args.get("order"), exp.Order):
        return node
    spec = node.args.get("spec")
    # an offset of a range wants one key; what is counted by minutes is never null
    ranged = spec is not None and spec.args.get("kind") == "RANGE"
    keys: list[exp.Expr] = []
    for one in order.expressions:
        if not (one.args.get("desc") or ranged):
            keys.append(exp.Ordered(this=one.this.copy().is_(exp.null()), nulls_first=True))
        keys.append(exp.Ordered(this=one.this.copy(), desc=one.args.get("desc"), nulls_first=not one.args.get("desc")))
    order.set("expressions", keys)
    return node


def _snowflake_joined(node: exp.Expr) -> exp.Expr:
    """LISTAGG of nothing is an empty text there, not null."""
    if isinstance(node, exp.GroupConcat) and not isinstance(node.parent, exp.Nullif):
        return exp.Nullif(this=node.copy(), expression=literal(""))
    return node


def _unit(unit: str) -> exp.Var:
    return exp.Var(this=unit)


def _snowflake_try(node: exp.Expr) -> exp.Expr:
    """TRY_CAST takes texts only; a whole number has 38 digits, beyond which nothing adds up here."""
    return node.this if isinstance(node, exp.TryCast) else node


DIALECT_RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "duckdb": (),
    "spark": (
        moments(lambda micros: call("TIMESTAMP_MICROS", micros)),
        microseconds(lambda moment: call("UNIX_MICROS", moment)),
        rounded("RINT"),
        wide_sums("DECIMAL(28, 0)"),
        hugeints("DECIMAL(38, 0)"),
        quotients(double=True),
        quantiles(lambda value, share: call("PERCENTILE", value, share)),
        at_extremes,
        json(lambda text, key: call("GET_JSON_OBJECT", text, literal(f"$['{key}']"))),
        _spark_lists,
        DIALECT_EVENTS["spark"],
    ),
    "clickhouse": (
        moments(lambda micros: call("fromUnixTimestamp64Micro", micros, literal("UTC"))),
        microseconds(lambda moment: call("toUnixTimestamp64Micro", moment)),
        spans_of_time(lambda number, unit: call(f"toInterval{unit.capitalize()}", number)),
        rounded("ROUND"),
        wide_sums("HUGEINT"),
        quotients(double=False),
        whole_quotients(lambda above, below: call("intDiv", above, below)),
        quantiles(_clickhouse_quantile),
        _clickhouse_at_extremes,
        _clickhouse_casts,
        _clickhouse_joined,
        _clickhouse_counts,
        _clickhouse_branches,
        _clickhouse_lists,
        simple({exp.LogicalOr: "max", exp.LogicalAnd: "min", exp.ArraySort: "arraySort", exp.Flatten: "arrayFlatten"}),
        json(lambda text, key: call("JSONExtract", text, literal(key), literal("Nullable(String)"))),
        members(
            lambda held, key: exp.Nullif(
                this=exp.Bracket(this=held.copy(), expressions=[key.copy()]), expression=literal("")
            )
        ),
        DIALECT_EVENTS["clickhouse"],
    ),
    "bigquery": (
        moments(lambda micros: call("TIMESTAMP_MICROS", micros)),
        microseconds(lambda moment: call("UNIX_MICROS", moment)),
        shifted(
            "TIMESTAMP_ADD",
            lambda at, number, unit: [at, exp.Interval(this=exp.Paren(this=number.copy()), unit=_unit(unit))],
        ),
        wide_sums("BIGDECIMAL"),
        hugeints("BIGDECIMAL"),
        quotients(double=False),
        extremes,
        quantiles(_bigquery_quantile),
        at_extremes,
        _bigquery_decimals,
        _bigquery_order,
        _bigquery_windows,
        json(lambda text, key: call("JSON_VALUE", text, literal(f'$."{key}"'))),
        DIALECT_EVENTS["bigquery"],
    ),
    "snowflake": (
        moments(lambda micros: call("TO_TIMESTAMP_TZ", micros, numeral(6))),
        microseconds(lambda moment: call("DATE_PART", exp.Var(this="EPOCH_MICROSECOND"), moment)),
        shifted("DATEADD", lambda at, number, unit: [_unit(unit), number.copy(), at]),
        hugeints("DECIMAL(38, 0)"),
        _snowflake_try,
        quotients(double=True),
        at_extremes,
        _snowflake_joined,
        json(lambda text, key: cast(call("GET", call("TRY_PARSE_JSON", text), literal(key)), "VARCHAR")),
        members(lambda held, key: cast(call("GET", held, key), "VARCHAR")),
        DIALECT_EVENTS["snowflake"],
    ),
    "trino": (
        moments(
            lambda micros: call(
                "FROM_UNIXTIME_NANOS", exp.Mul(this=exp.Paren(this=micros.copy()), expression=numeral(1000))
            )
        ),
        microseconds(
            lambda moment: cast(exp.Mul(this=call("TO_UNIXTIME", moment), expression=numeral(1000000)), "BIGINT")
        ),
        wide_sums("DECIMAL(38, 0)"),
        hugeints("DECIMAL(38, 0)"),
        whole_quotients(lambda above, below: exp.Div(this=above.copy(), expression=below.copy(), typed=True)),
        quotients(double=False),
        extremes,
        quantiles(_trino_quantile),
        at_extremes,
        json(lambda text, key: call("JSON_EXTRACT_SCALAR", text, literal(f'$["{key}"]'))),
        members(lambda held, key: call("ELEMENT_AT", held, key)),
        DIALECT_EVENTS["trino"],
    ),
}
"""By dialect, in the order in which they are asked."""
