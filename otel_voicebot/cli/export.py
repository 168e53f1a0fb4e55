"""``otel-voicebot export``."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import ask, finish, nothing, prices_of
from otel_voicebot.cli.options import Json, Output, PriceFile, Question, chosen_format, grouped

if TYPE_CHECKING:
    from otel_voicebot.reports.scope import Scope
    from otel_voicebot.reports.source import Opened

__all__ = ["export"]


@grouped
def export(
    *,
    table: Annotated[Literal["spans", "turns", "sessions"], typer.Argument(help="Which table.")],
    question: Question,
    format_: Annotated[
        Literal["csv", "jsonl", "parquet", "json"] | None,
        typer.Option("--format", help="How to write it. Default: csv.", show_default=False),
    ] = None,
    prices: PriceFile = None,
    json: Json = False,
    output: Output = None,
) -> int:
    """Write spans, turns or sessions for other tools.

    The columns are those of `otel-voicebot schema`. In CSV a missing value is an empty cell, lists and maps are JSON.
    What turns and sessions cost is computed now: without a price file only known model calls have a price.
    """
    kind = chosen_format(format_, "csv", json=json)
    from otel_voicebot.reports import export as writing  # noqa: PLC0415 - not for --help

    listing = prices_of(question, prices)

    def write(opened: "Opened") -> "Scope":
        told = "" if table == "spans" else f"; {listing.give(opened.engine)}"
        rows = writing.rows(opened, table)
        if not rows.num_rows:
            raise nothing(opened.scope, table)
        if kind == "json":
            out.write_json(writing.document(opened.scope, table, rows), output)
        else:
            out.write_all(writing.encode(rows, kind), output)
        out.note(f"{rows.num_rows} {table}{told}")
        return opened.scope

    return finish(ask(question, datetime.now(UTC), write, cut=table == "turns"))
