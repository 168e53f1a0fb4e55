"""``otel-voicebot sql``."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.options import Bot, Channel, Environment, Intent, Json, Output, Question, Since, Until, Variant
from otel_voicebot.errors import UsageError

__all__ = ["sql"]


def sql(
    *,
    model: Annotated[str | None, typer.Argument(help="Which model; --list names them.", show_default=False)] = None,
    dialect: Annotated[
        str,
        typer.Option("--dialect", metavar="NAME", help="duckdb, clickhouse, spark, bigquery, snowflake or trino."),
    ] = "duckdb",
    only: Annotated[
        bool, typer.Option("--only", help="Just the model: what it is built on are tables of those names.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="The models, and the dialects of each.")] = False,
    spans: Annotated[
        str, typer.Option("--spans", metavar="TABLE", help="The table of spans, as the warehouse names it.")
    ] = "spans",
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="WHEN",
            help="As it was known then: what ended later is left out, 7d counts back from it. Default: now.",
            show_default=False,
        ),
    ] = None,
    since: Since = None,
    until: Until = None,
    bot: Bot = None,
    channel: Channel = None,
    variant: Variant = None,
    environment: Environment = None,
    intent: Intent = None,
    json: Json = False,
    output: Output = None,
) -> int:
    """A model (KPIs, turns, sessions, ...) as a query for a warehouse.

    The warehouse has the store's history as one table of spans; the query's head names what else it reads.
    """
    from otel_voicebot.models.warehouse import Asked, render  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.warehouse import document, headed, listed, listing  # noqa: PLC0415

    if list_:
        if json:
            out.write_json(listing(), output)
        else:
            out.write_table([], [listed()], output)
        return 0
    if model is None:
        raise UsageError("which model? `otel-voicebot sql --list` names them")
    now = datetime.now(UTC)
    question = Question(None, since, until, bot, channel, variant, environment, intent, as_of)
    terms, selection = question.settings().terms(question.base(now)), question.selection(now)
    if only and selection.where()[0]:
        raise UsageError("--only prints a model over tables: select sessions where you make those, without --only")
    asked = Asked(selection, terms, spans)
    rendered = render(model, dialect, asked, only=only)
    if json:
        out.write_json(document(rendered, asked), output)
    else:
        out.write(headed(rendered, asked), output)
    return 0
