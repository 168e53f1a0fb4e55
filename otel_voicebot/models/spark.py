"""Runs the models on PySpark in this process (local mode): the same texts, in Spark's words, over the same files.

For who has more calls than one DuckDB holds, and as the proof that the models mean the same there.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import pyarrow as pa

from otel_voicebot.errors import CannotStartError, MissingExtraError, UnreadableDataError
from otel_voicebot.models.catalog import EMPTY, FLAT, MODELS, SPAN_COLUMNS
from otel_voicebot.models.selection import Selection
from otel_voicebot.models.terms import BEFORE_COLUMNS, GIVEN, WIDE_COLUMNS, Terms
from otel_voicebot.models.warehouse import Asked, statement

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["SparkEngine", "SparkSource", "start"]

_KEPT: Final = frozenset(
    (
        *("nested", "lent", "framed", "placed", "exchanges", "steps", "judged", "turns", "sessions", "operations"),
        *("components", "contacts", "wait_percentiles", "costs"),
    )
)
"""Models that several others read: computed once. Spark would put their plans into each, and
compute them there."""

_PLACED: Final = ("placed", "exchanges")
"""Empty where no framework's spans have to be put together, which saves a recursion."""


class SparkSource(Protocol):
    """Files of spans; the store's ``Snapshot`` is one."""

    def parts(self) -> list[tuple[pa.Schema, tuple[Path, ...], str]]:
        """Files, how they are stored, and which of their rows count (a condition in DuckDB's SQL, "" for all)."""
        ...


def start() -> "SparkSession":
    """A Spark session in this process, on loopback only and without its web page; the one that runs, if one does.

    Raises:
        MissingExtraError: PySpark isn't installed.
        CannotStartError: there is no Java, or Spark didn't start.
    """
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtraError("the engine spark", "spark") from None
    home = os.environ.get("JAVA_HOME")  # where it is set, Spark looks nowhere else
    if shutil.which("java", path=f"{home}/bin" if home else None) is None:
        place = f"in JAVA_HOME ({home})" if home else "on the PATH"
        raise CannotStartError(f"Spark needs Java 17 or later, and no `java` is {place}: install one or set JAVA_HOME")
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.log.level": "OFF",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(max(2, os.cpu_count() or 2)),
        "spark.sql.warehouse.dir": tempfile.gettempdir(),
        # it breaks the plan of a recursion (seen on Spark 4.3): the column that it drops is still asked for
        "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.RemoveRedundantAliases",
    }
    builder = SparkSession.builder.master("local[*]").appName("otel-voicebot")
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except Exception as error:  # whatever Java and Py4J say
        raise CannotStartError(f"Spark didn't start: {_first_line(error)}") from error


class SparkEngine:
    """The models over one source of spans, as of one moment, on Spark.

    Args:
        source: where spans come from.
        selection: which sessions count.
        terms: what KPIs depend on beside the spans; ``before`` is a ``SparkSource``, too.
        session: the Spark session; one is started, or the running one taken, when None. It isn't stopped.
    """

    def __init__(
        self,
        source: SparkSource,
        selection: Selection | None = None,
        *,
        terms: Terms | None = None,
        session: "SparkSession | None" = None,
    ) -> None:
        self._terms = terms or Terms()
        self._asked = Asked(selection or Selection(), self._terms)
        self._spark = session or start()
        self._there: dict[str, DataFrame] = {}
        try:
            self._define(source)
        except Exception as error:
            raise _unreadable(error) from error

    def _define(self, source: SparkSource) -> None:
        columns = tuple(dict.fromkeys((*SPAN_COLUMNS, *WIDE_COLUMNS)))
        spans = self._put("spans", self._frame(source, columns))
        self._put("wide", spans.select(*WIDE_COLUMNS))
        self._put("open_calls", spans.select("session_id").where("false"))
        before: Any = self._terms.before
        days = spans.select(*BEFORE_COLUMNS).where("false") if before is None else self._frame(before, BEFORE_COLUMNS)
        self._put("before", days)
        for name in GIVEN:
            self.give(name, [])
        flat = ", ".join(f"'{name}'" for name in FLAT)
        if spans.where(f"dialect NOT IN ({flat})").isEmpty():
            for name in _PLACED:
                self._put(name, self._local(EMPTY[name], []))

    def _local(self, declared: str, rows: Sequence[Mapping[str, object]]) -> "DataFrame":
        """A small table as part of the plans that read it: lists of Python would need worker processes."""
        from pyspark.sql.pandas.types import to_arrow_schema  # noqa: PLC0415 - an extra
        from pyspark.sql.types import StructType  # noqa: PLC0415

        kinds: Any = StructType.fromDDL(", ".join(_spark_column(part) for part in declared.split(",")))
        told = [{name: row.get(name) for name in kinds.names} for row in rows]
        return self._spark.createDataFrame(pa.Table.from_pylist(told, to_arrow_schema(kinds, timezone="UTC")), kinds)

    def _frame(self, source: SparkSource, columns: Sequence[str]) -> "DataFrame":
        """The spans with these columns, ids as hex."""
        from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415 - an extra
        from sqlglot import transpile  # noqa: PLC0415 - not for --help

        frames = []
        for schema, files, condition in source.parts():
            ids = {field.name for field in schema if pa.types.is_fixed_size_binary(field.type)}
            needed = dict.fromkeys((*columns, "session_id", "user_hash", "trace_id"))
            plain = pa.schema([pa.field(name, _plain(schema.field(name).type)) for name in needed])
            reader = self._spark.read.schema(from_arrow_schema(plain)).option("recursiveFileLookup", "true")
            frame = reader.parquet(*(str(path) for path in files))
            if condition:
                frame = frame.where(transpile(condition, read="duckdb", write="spark")[0])
            shown = [f"lower(hex({name})) AS {name}" if name in ids else name for name in columns]
            frames.append(frame.selectExpr(*shown))
        whole = frames[0]
        for frame in frames[1:]:
            whole = whole.unionByName(frame)
        return whole

    def _put(self, name: str, frame: "DataFrame") -> "DataFrame":
        frame.createOrReplaceTempView(name)
        self._there[name] = frame
        return frame

    def _have(self, name: str) -> "DataFrame":
        if name in self._there:
            return self._there[name]
        text, inputs = statement(name, "spark", self._asked, cut=False)
        for needed in inputs:
            self._have(needed)
        frame = self._spark.sql(text)
        return self._put(name, frame.localCheckpoint() if name.removesuffix("_all") in _KEPT else frame)

    def give(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Fill one of the tables ``terms.GIVEN``, which are empty until then."""
        self._put(name, self._local(GIVEN[name], rows))
        for model in [model for model in self._there if model in MODELS and _reads(model, name)]:
            del self._there[model]

    def table(self, name: str) -> pa.Table:
        """A model's rows.

        Raises:
            UnreadableDataError: a file turned out to be damaged, or vanished.
        """
        try:
            return self._have(name).toArrow()
        except Exception as error:
            raise _unreadable(error) from error

    def sql(self, text: str, parameters: Sequence[object] = ()) -> pa.Table:
        """A query over the models, in DuckDB's SQL, with values for its ``?``; raises as ``table``."""
        import sqlglot  # noqa: PLC0415 - not for --help
        from sqlglot import exp  # noqa: PLC0415

        tree = sqlglot.parse_one(text, read="duckdb")
        try:
            for table in tree.find_all(exp.Table):
                if table.name in MODELS:
                    self._have(table.name)
            return self._spark.sql(tree.sql("spark"), args=list(parameters) or None).toArrow()
        except Exception as error:
            raise _unreadable(error) from error

    def close(self) -> None:
        """Forget the models; the session stays. Idempotent."""
        for name in self._there:
            with suppress(Exception):  # the session may have ended before
                self._spark.catalog.dropTempView(name)
        self._there = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reads(model: str, name: str) -> bool:
    """Whether a model depends on a table."""
    return any(one == name or (one in MODELS and _reads(one, name)) for one in MODELS[model].inputs)


def _plain(kind: pa.DataType) -> pa.DataType:
    """A type that Spark knows: its bytes have no fixed length."""
    return pa.binary() if pa.types.is_fixed_size_binary(kind) else kind


_KINDS: Final = {"VARCHAR": "STRING", "BLOB": "STRING", "INTEGER": "INT", "TIMESTAMPTZ": "TIMESTAMP"}


def _spark_column(declared: str) -> str:
    """A column as DuckDB declares it, as Spark does; ids are hex."""
    name, kind = declared.split()
    return f"{name} {_KINDS.get(kind, kind)}"


def _unreadable(error: Exception) -> UnreadableDataError:
    return UnreadableDataError(f"Spark can't answer: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
