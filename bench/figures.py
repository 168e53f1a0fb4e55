"""What a benchmark hands back: a table of what was measured, and the few figures that have a target."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console
from rich.table import Table

__all__ = ["Figure", "Section", "as_dict", "show"]


@dataclass(frozen=True)
class Figure:
    """One figure; `target` None: it is only told."""

    name: str
    value: float
    unit: str = ""
    limit: Literal["<=", ">=", "<"] = "<="
    target: float | None = None
    aim: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return {"<=": operator.le, ">=": operator.ge, "<": operator.lt}[self.limit](self.value, self.target)


@dataclass(frozen=True)
class Section:
    """The result of one benchmark."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float]]
    figures: Sequence[Figure]
    notes: Sequence[str] = field(default=())


def as_dict(section: Section) -> dict[str, object]:
    """For `--json`: rows as objects, figures with their verdict."""
    return {
        "title": section.title,
        "rows": [dict(zip(section.columns, row, strict=True)) for row in section.rows],
        "figures": {
            figure.name: {
                "value": figure.value,
                "unit": figure.unit,
                "target": None if figure.target is None else f"{figure.limit} {figure.target:g}",
                "met": figure.met,
            }
            for figure in section.figures
        },
        "notes": list(section.notes),
    }


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def show(section: Section, console: Console) -> None:
    """Print the section's two tables."""
    measured = Table(title=section.title, title_justify="left")
    for number, column in enumerate(section.columns):
        measured.add_column(column, justify="right" if number else "left")
    for row in section.rows:
        measured.add_row(*map(_text, row))
    console.print(measured)
    verdicts = Table("figure", "value", "target", "aim", "")
    for figure in section.figures:
        target = "" if figure.target is None else f"{figure.limit} {_text(figure.target)} {figure.unit}"
        aim = "" if figure.aim is None else f"{_text(figure.aim)} {figure.unit}"
        verdict = {None: "", True: "[green]met[/]", False: "[red]MISSED[/]"}[figure.met]
        verdicts.add_row(figure.name, f"{_text(figure.value)} {figure.unit}", target, aim, verdict)
    console.print(verdicts)
    for note in section.notes:
        console.print(note, style="dim")
