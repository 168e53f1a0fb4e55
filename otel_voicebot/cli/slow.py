"""``otel-voicebot slow``."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import ask, finish, nothing
from otel_voicebot.cli.options import (
    Bot,
    Channel,
    Csv,
    Data,
    Environment,
    Json,
    Output,
    Question,
    Since,
    Until,
    Variant,
    chosen_format,
)

if TYPE_CHECKING:
    from otel_voicebot.reports.slow import Slow
    from otel_voicebot.reports.source import Opened

__all__ = ["slow"]

Format = Annotated[
    Literal["table", "json", "csv", "jsonl", "parquet", "md", "html"] | None,
    typer.Option("--format", help="How to write it. Default: table.", show_default=False),
]


def slow(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="How many turns.")] = 10,
    data: Data = None,
    since: Since = None,
    until: Until = None,
    bot: Bot = None,
    channel: Channel = None,
    variant: Variant = None,
    environment: Environment = None,
    format_: Format = None,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
) -> int:
    """The turns in which callers waited longest.

    With the measured parts of each wait. A turn that was given up before the bot answered counts with the wait until
    then. `otel-voicebot trace` shows one as a waterfall.
    """
    kind = chosen_format(format_, "table", json=json, csv=csv)
    question = Question(data, since, until, bot, channel, variant, environment)
    from otel_voicebot.reports.slow import RANKING, compute, document, grid, head  # noqa: PLC0415 - not for --help

    def look(opened: "Opened") -> "Slow":
        turns = opened.engine.sql(f"SELECT {', '.join(RANKING)} FROM turns")  # noqa: S608 - names of ours
        return compute(turns, opened.scope, limit, opened.engine.turns_of)

    found = ask(question, datetime.now(UTC), look, brief=True)
    if not found.turns:
        raise nothing(found.scope, "turns with a wait")
    if kind == "json":
        out.write_json(document(found), output)
    elif kind == "table":
        out.write_table(head(found), [grid(found)], output)
    else:
        out.write(out.grids_as(kind, "Slowest turns", head(found), [grid(found)]), output)
    return finish(found.scope)
