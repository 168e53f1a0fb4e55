"""How the answers of two engines are held against each other."""

import datetime as dt
import decimal
import math
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

__all__ = ["differences"]

_NESTED = frozenset({"quality", "segments"})
"""Columns of turns that hold lists: not every engine has them; the model segments has its rows."""


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dt.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return (aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    return value.hex() if isinstance(value, bytes) else value


def _rows(table: pa.Table, columns: Iterable[str]) -> list[tuple[Any, ...]]:
    rows = [tuple(map(_plain, row)) for row in zip(*(table[name].to_pylist() for name in columns), strict=True)]

    def key(row: tuple[Any, ...]) -> tuple[str, ...]:
        return tuple("" if one is None else f"{one:.6g}" if isinstance(one, float) else str(one) for one in row)

    return sorted(rows, key=key)


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, float) or isinstance(two, float):
        return one is not None and two is not None and math.isclose(one, two, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == two)


def differences(wanted: pa.Table, found: pa.Table) -> list[str]:
    """What differs: whole numbers, texts and times must be equal, others to 1e-9; the order of rows doesn't count."""
    columns = [name for name in wanted.column_names if name not in _NESTED]
    if missing := set(columns) - set(found.column_names):
        return [f"no column {name}" for name in sorted(missing)]
    if wanted.num_rows != found.num_rows:
        return [f"{wanted.num_rows} rows, and {found.num_rows}"]
    return [
        f"{name}: {one} and {two}"
        for left, right in zip(_rows(wanted, columns), _rows(found, columns), strict=True)
        for name, one, two in zip(columns, left, right, strict=True)
        if not _same(one, two)
    ]
