"""``threshold-alert``, also ``otel-voicebot threshold-alert``."""

import json as json_text
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish
from otel_voicebot.cli.live import (
    LONGEST_S,
    MOST_STEPS,
    Count,
    Source,
    Url,
    Window,
    look_once,
    looks,
    seconds_of,
    source_of,
    stoppable,
)
from otel_voicebot.cli.options import Json, Now, grouped
from otel_voicebot.errors import NoDataError, UsageError, VoicebotError

if TYPE_CHECKING:
    from otel_voicebot.reports.scope import Scope
    from otel_voicebot.reports.thresholds import Evaluation, Limit

__all__ = ["threshold_alert"]

_CROSSED: Final = 1
_WINDOW_S: Final = 300.0
"""Of a watch that isn't told of when."""


@grouped
def threshold_alert(
    *,
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="latency (the caller's whole wait), stt_latency, llm_latency, ..., error_rate, wer, mos, csat, nps, "
            "cache_hit_rate, containment, ...: docs/commands.md lists them with the direction that is bad.",
        ),
    ],
    threshold: Annotated[
        str,
        typer.Option(
            "--threshold", metavar="VALUE", help="Latencies in ms (or 0.5s), rates as 0.1 (or 10%), scores as they are."
        ),
    ],
    quantile: Annotated[
        Literal["p50", "p95", "p99"] | None,
        typer.Option("--quantile", help="Of a latency. Default: p95.", show_default=False),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            min=0.1,
            max=LONGEST_S,
            help="Look again and again, so many seconds apart.",
        ),
    ] = None,
    count: Count = None,
    least: Annotated[
        int, typer.Option("--min-count", metavar="N", min=1, help="With fewer observations there is no alert.")
    ] = 20,
    url: Url = None,
    window: Window = None,
    question: Now,
    json: Json = False,
) -> int:
    """Is a figure beyond its threshold? Exit code 1 when it is.

    Looks once, or with --interval until Ctrl-C, then over the last 5 minutes unless told. Each look prints value,
    threshold and number of observations. Exit code 1: crossed, at least once; 0: not; 3: never enough observations to
    say.
    """
    if count is not None and interval is None:
        raise UsageError("--count is of --interval")
    from otel_voicebot.reports.thresholds import limit  # noqa: PLC0415 - not for --help

    wanted = limit(metric, threshold, quantile, least)
    if url is not None:
        wanted.check_service()
    asked = seconds_of(window)
    if interval is not None and asked is None and question.since is None and question.until is None:
        asked = max(_WINDOW_S, interval)
        asked = asked if url is None else min(asked, MOST_STEPS * interval)
    source = source_of(question, url, asked, interval)
    if interval is not None:
        return _watch(source, wanted, interval, count, json=json)
    found = wanted.evaluate(look_once(source))
    if json:
        out.write_json({**found.found.scope.document("threshold-alert"), **found.document()}, None)
    else:
        _tell(wanted.head(found.found), found)
    return finish(found.found.scope) or _code([found.state])


def _watch(source: Source, wanted: "Limit", interval: float, count: int | None, *, json: bool) -> int:
    states, last = [], None
    with stoppable() as stop:
        for seen in looks(source, stop, interval, count):
            if isinstance(seen, VoicebotError):
                out.note(f"otel-voicebot: {seen}")
                states.append("unknown")
            else:
                found = wanted.evaluate(seen)
                if json:
                    out.write(json_text.dumps(found.document(), ensure_ascii=False) + "\n", None)
                else:
                    head = wanted.head(seen, source.window_s) if last is None else []
                    _tell(head, found)
                states, last = [*set(states), found.state], seen.scope
    return _end(last, states)


def _end(scope: "Scope | None", states: list[str]) -> int:
    return (finish(scope) if scope is not None else 0) or _code(states)


def _code(states: list[str]) -> int:
    if "crossed" in states:
        return _CROSSED
    return 0 if "quiet" in states or not states else NoDataError.code


def _tell(head: list[str], found: "Evaluation") -> None:
    """A line, below what is watched where that wasn't told yet."""
    from otel_voicebot.reports.values import shown  # noqa: PLC0415 - not for --help

    lines = [*map(shown, head), found.line()]
    console = out.terminal()
    if console is None:
        out.write("\n".join(lines) + "\n", None)
        return
    style = {"crossed": "bold red", "too_few": "yellow"}.get(found.state, "")
    for line in lines[:-1]:
        console.print(line, style="dim", markup=False, soft_wrap=True)
    console.print(lines[-1], style=style, markup=False, soft_wrap=True)
