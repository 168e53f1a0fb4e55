"""``otel-voicebot schema``."""

from typing import Annotated, Literal

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.options import Json, Output

__all__ = ["schema"]


def schema(
    table: Annotated[
        Literal["spans", "turns", "sessions", "logs"] | None,
        typer.Argument(help="Which table; all of them unless told."),
    ] = None,
    json: Json = False,
    output: Output = None,
) -> int:
    """The tables' columns: names, types and meanings."""
    from otel_voicebot.reports.schema import document, grids  # noqa: PLC0415 - not for --help

    if json:
        out.write_json(document(table), output)
    else:
        out.write_table([], grids(table), output)
    return 0
