"""KPIs of a window, and the log records of a session, as the command line gives them."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from otel_voicebot.errors import NoDataError, UsageError
from otel_voicebot.models import Selection
from otel_voicebot.reports import logs, report
from otel_voicebot.reports.periods import window
from otel_voicebot.reports.sections import ON_REQUEST
from otel_voicebot.reports.snapshot import Snapshots
from otel_voicebot.web.answers import answer
from otel_voicebot.web.api import API, RESPONSES
from otel_voicebot.web.asking import Asking

__all__ = ["router"]

_MOST_RECORDS = 10_000
_RECORDS_S = 15.0
_CALLED = "parameter {}".format

When = Annotated[str | None, Query(description="ISO 8601, or 15m, 24h, 7d (ago).", max_length=64)]
Name = Annotated[str | None, Query(max_length=512)]


def router(data: Path, snapshots: Snapshots, asking: Asking, reporting: Asking) -> APIRouter:
    """``GET /api/v1/kpis`` and ``GET /api/v1/sessions/{id}/logs``.

    Args:
        data: the data directory.
        snapshots: computes reports.
        asking: runs short questions.
        reporting: runs reports: few at once, as each takes all cores and much memory.
    """
    routes = APIRouter(prefix=API)

    @routes.get(
        "/kpis",
        summary="The KPIs of a window: the document of `otel-voicebot report --json`.",
        response_class=Response,
        responses={200: {"description": "The report.", "content": {"application/json": {}}}, **RESPONSES},
    )
    async def kpis(  # noqa: PLR0913 - the parameters of a report
        *,
        since: When = None,
        until: When = None,
        as_of: When = None,
        bot: Name = None,
        channel: Name = None,
        variant: Name = None,
        environment: Name = None,
        intent: Name = None,
        section: Annotated[str | None, Query(description=f"One of {', '.join(ON_REQUEST)}.", max_length=64)] = None,
    ) -> Response:
        if section is not None and section not in ON_REQUEST:
            raise UsageError(f"parameter section {section!r}: must be one of {', '.join(ON_REQUEST)}")
        now = datetime.now(UTC)
        period, then = window(since, until, as_of, now, _CALLED)
        chosen = Selection(period.since, period.until, bot, channel, variant, environment, intent, as_of=then)
        found = await reporting.run(partial(snapshots.report, chosen, now, section))
        return answer(report.document(found))

    @routes.get(
        "/sessions/{session:path}/logs",
        summary="The log records of a session: the document of `otel-voicebot logs --session ID --json`.",
        response_class=Response,
        responses={200: {"description": "The records.", "content": {"application/json": {}}}, **RESPONSES},
    )
    async def records(
        session: str,
        severity: Literal["trace", "debug", "info", "warn", "error", "fatal"] | None = None,
        since: When = None,
        until: When = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_RECORDS)] = 1000,
    ) -> Response:
        now = datetime.now(UTC)
        period, _ = window(since, until, None, now, _CALLED)
        wanted = logs.Wanted(session, None, severity, period.since, period.until, limit)
        return answer(await asking.run(partial(_records, data, wanted, now)))

    return routes


def _records(data: Path, wanted: logs.Wanted, now: datetime) -> dict[str, object]:
    found = logs.compute(data, wanted, now, _RECORDS_S)
    if not found.found:
        raise NoDataError(f"no log records of session {wanted.session!r}")
    return logs.document(found)
