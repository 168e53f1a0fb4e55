"""``otel-voicebot slow``."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import exchanges, finish, nothing
from otel_voicebot.cli.options import Question, Written, grouped
from otel_voicebot.errors import UsageError
from otel_voicebot.semconv import SEGMENTS

__all__ = ["slow"]

_SERVICES = ("llm", "stt", "tts")
"""Components of which a segment is named."""


@grouped
def slow(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="How many turns.")] = 10,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            min=0,
            metavar="SECONDS",
            help="Turns that waited longer are slow. Default: the slowest 5 %, and at least as many as are shown.",
            show_default=False,
        ),
    ] = None,
    component: Annotated[
        str | None,
        typer.Option(
            "--component",
            metavar="NAME",
            help="Only turns whose longest segment is this one (tts_first_audio, tool, ...), or one of llm, stt, tts.",
        ),
    ] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="Only turns that used this provider.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Only turns that used this model.")
    ] = None,
    cause: Annotated[
        str | None,
        typer.Option(
            "--cause",
            metavar="NAME",
            help="Only turns whose longest segment has this owner, that had this error, or that were abandoned for it.",
        ),
    ] = None,
    question: Question,
    written: Written,
) -> int:
    """The turns in which callers waited longest.

    With the segment of each wait that took longest, whose it is, and what slow turns have in common beyond chance. A
    turn that was given up before the bot answered counts with the wait until then. `otel-voicebot trace` shows one.
    """
    kind = written.kind()
    from otel_voicebot.reports.slow import Choice, compute, document, grids, head  # noqa: PLC0415 - not for --help

    if component is not None and component not in (known := (*SEGMENTS, *_SERVICES)):
        msg = f"--component {component!r} is no part of a wait; there is {', '.join(known)}"
        raise UsageError(msg)
    choice = Choice(limit, threshold, component, provider, model, cause)

    found = exchanges(question, datetime.now(UTC), lambda found: compute(found, choice))
    if not found.turns:
        raise nothing(found.scope, "turns with a wait" if threshold is None else f"waits longer than {threshold:g} s")
    out.write_answer(
        kind, "Slowest turns", lambda: head(found), lambda: grids(found), lambda: document(found), written.output
    )
    return finish(found.scope)
