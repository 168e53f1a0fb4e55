"""``orchestrator-log``, also ``otel-voicebot orchestrator-log``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish, nothing
from otel_voicebot.cli.live import Url, Window, look_once, seconds_of, source_of
from otel_voicebot.cli.options import Question, Written, grouped

if TYPE_CHECKING:
    from otel_voicebot.reports.grid import Grid

__all__ = ["orchestrator_log"]

_BEFORE_FCR: Final = ("sessions", "turns", "aht_s")
_AFTER_FCR: Final = (
    *("csat_mean", "csat_share", "response_gap_p50_s", "response_gap_p95_s", "response_gap_p99_s"),
    *("error_rate", "cache_hit_rate"),
)


@grouped
def orchestrator_log(
    *,
    metrics: Annotated[  # noqa: ARG001 - the document's word for what is shown in any case
        bool, typer.Option("--metrics", help="Show the metrics; they are shown in any case.")
    ] = False,
    fcr_window: Annotated[
        Literal["1d", "7d", "30d"],
        typer.Option("--fcr-window", help="How long a caller must stay away for first call resolution."),
    ] = "7d",
    url: Url = None,
    window: Window = None,
    question: Question,
    written: Written,
) -> int:
    """Handle time, first call resolution, CSAT, latencies, cache hits.

    A KPI without data says why. The numbers are those of `otel-voicebot report` for the same calls, or, with --url,
    those of a running service.
    """
    kind = written.kind()
    found = look_once(source_of(question, url, seconds_of(window)))
    if not found.service and not found.kpi("sessions").value:
        raise nothing(found.scope, "sessions")
    fcr = f"fcr_{fcr_window}"
    found = found.some((*_BEFORE_FCR, fcr, *_AFTER_FCR))
    days = {"1d": "1 day", "7d": "7 days", "30d": "30 days"}[fcr_window]
    told = f"{fcr}: solved is what the caller doesn't come back for within {days} (--fcr-window)"

    def grids() -> "list[Grid]":
        kpis = found.grid("Metrics")
        return [replace(kpis, notes=(*kpis.notes, told)), found.latencies()]

    def document() -> dict[str, object]:
        return {**found.document("orchestrator-log"), "fcr_window": fcr_window}

    out.write_answer(kind, "Voicebot metrics", found.head, grids, document, written.output)
    return finish(found.scope)
