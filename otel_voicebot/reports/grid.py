"""One table of a report, and the ways to write it: text, rich, CSV, JSON lines, Markdown, HTML, Arrow.

A grid keeps the values themselves; each column says how a person reads them. Machine formats get the values.
"""

import csv
import html as html_module
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from otel_voicebot.reports.values import plain, quantity, shown

if TYPE_CHECKING:
    from rich.console import Group

__all__ = [
    "Column",
    "Grid",
    "as_arrow",
    "as_csv",
    "as_html",
    "as_jsonl",
    "as_markdown",
    "as_rich",
    "as_text",
    "cell",
    "page",
]


def _show(value: object) -> str:
    return quantity(value)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the key of its values, its heading, and how a person reads a value."""

    key: str
    title: str
    show: Callable[[object], str] = _show
    right: bool = False
    """Numbers stand to the right, so that digits line up."""
    style: str = ""
    """A rich style; colour only where a terminal shows it."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows under columns. Rows may carry keys that no column shows; keys that begin with ``_`` are for people only."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, object], ...]
    empty: str = "nothing"
    """What is said in place of rows."""
    notes: tuple[str, ...] = field(default=())

    def cells(self) -> list[list[str]]:
        """The values as a person reads them, one line each."""
        return [
            [shown(" ".join(column.show(row.get(column.key)).split())) for column in self.columns] for row in self.rows
        ]

    def keys(self) -> list[str]:
        """What machine formats hold: every key of the rows as they first appear, but those made for people (``_…``)."""
        keys = dict.fromkeys(key for row in self.rows for key in row)
        return [key for key in keys or (column.key for column in self.columns) if not key.startswith("_")]


def as_text(grid: Grid) -> str:
    """Aligned columns, two spaces between them, no colour and no lines: stable for other programs."""
    lines = [shown(grid.title)] if grid.title else []
    if not grid.rows:
        return "\n".join([*lines, f"  {shown(grid.empty)}", *_notes(grid)])
    cells = grid.cells()
    table = [[column.title for column in grid.columns], *cells]
    widths = [max(len(row[index]) for row in table) for index in range(len(grid.columns))]
    for row in table:
        aligned = (
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, grid.columns, strict=True)
        )
        lines.append(("  " + "  ".join(aligned)).rstrip())
    return "\n".join([*lines, *_notes(grid)])


def _notes(grid: Grid) -> list[str]:
    return [f"  {shown(note)}" for note in grid.notes]


def as_rich(grid: Grid) -> "Group":
    """The same for a terminal."""
    from rich import box  # noqa: PLC0415 - only where a terminal shows it
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    title, notes = Text(shown(grid.title), style="bold"), [Text(shown(note), style="dim") for note in grid.notes]
    if not grid.rows:
        return Group(title, Text(f"  {shown(grid.empty)}", style="dim"), *notes)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in grid.columns:
        side: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(Text(column.title), justify=side, style=column.style, overflow="fold")
    for cells in grid.cells():
        table.add_row(*(Text(cell) for cell in cells))
    return Group(title, table, *notes)


def as_csv(grid: Grid) -> str:
    """RFC 4180 with a header; null is an empty cell, a list or map is JSON text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    keys = grid.keys()
    writer.writerow(keys)
    writer.writerows([cell(row.get(key)) for key in keys] for row in grid.rows)
    return out.getvalue()


def cell(value: object) -> object:
    """A value as it stands in CSV."""
    value = plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def as_jsonl(grid: Grid) -> str:
    """One JSON object a row."""
    keys = grid.keys()
    return "".join(
        json.dumps(plain({key: row.get(key) for key in keys}), ensure_ascii=False) + "\n" for row in grid.rows
    )


def as_markdown(grid: Grid) -> str:
    """A heading and a pipe table."""
    lines = [f"## {grid.title}", ""]
    if grid.rows:
        lines.append("| " + " | ".join(_escape(column.title) for column in grid.columns) + " |")
        lines.append("|" + "|".join("---:" if column.right else "---" for column in grid.columns) + "|")
        lines += ["| " + " | ".join(_escape(cell) for cell in cells) + " |" for cells in grid.cells()]
    else:
        lines.append(grid.empty)
    lines += [line for note in grid.notes for line in ("", note)]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def as_html(grid: Grid) -> str:
    """A heading and a table, to be put into a page."""
    escape = html_module.escape
    head = "".join(f"<th>{escape(column.title)}</th>" for column in grid.columns)
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td class="number">{escape(cell)}</td>' if column.right else f"<td>{escape(cell)}</td>"
            for cell, column in zip(cells, grid.columns, strict=True)
        )
        + "</tr>"
        for cells in grid.cells()
    )
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>" if grid.rows else ""
    empty = "" if grid.rows else f"<p>{escape(grid.empty)}</p>"
    notes = "".join(f"<p>{escape(note)}</p>" for note in grid.notes)
    return f"<h2>{escape(grid.title)}</h2>\n{table}{empty}{notes}\n"


def as_arrow(grid: Grid) -> pa.Table:
    """The values as an Arrow table; a column without any value is a null column."""
    keys = grid.keys()
    return pa.table({key: _column([row.get(key) for row in grid.rows]) for key in keys})


def _column(values: Sequence[object]) -> pa.Array:
    if any(isinstance(value, float) for value in values):
        values = [float(value) if isinstance(value, int) else value for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])


def page(title: str, head: Sequence[str], grids: Sequence[Grid]) -> str:
    """A whole HTML page that needs nothing from elsewhere."""
    escape = html_module.escape
    lines = "<br>\n".join(escape(line) for line in head)
    tables = "".join(as_html(grid) for grid in grids)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n<style>{_STYLE}'
        f"</style></head>\n<body><h1>{escape(title)}</h1>\n<p>{lines}</p>\n{tables}</body></html>\n"
    )


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}th,td{padding:.25em .9em;text-align:left;border-bottom:1px solid #ddd}"
    ".number{text-align:right;font-variant-numeric:tabular-nums}"
)
