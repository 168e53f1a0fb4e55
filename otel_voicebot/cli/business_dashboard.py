"""``business-dashboard``, also ``otel-voicebot business-dashboard``."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish, nothing
from otel_voicebot.cli.options import PriceFile, Question, Written, grouped

__all__ = ["business_dashboard"]

_DAYS: Final = 30


@grouped
def business_dashboard(
    *,
    question: Question,
    prices: PriceFile = None,
    written: Written,
) -> int:
    """What an executive asks: volume, resolution, satisfaction, speed, cost.

    Each with its change against as long a period just before, and whether that is better or worse. Default: the last
    30 days. A change may be chance: `otel-voicebot compare` tells.
    """
    kind = written.kind()
    now, settings = datetime.now(UTC), question.settings()
    from otel_voicebot.reports.answer import against  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.dashboard import document, executive, grid, head  # noqa: PLC0415

    chosen, then = question.selection(now), question.base(now)
    if chosen.since is None:
        chosen = replace(chosen, since=(chosen.until or then) - timedelta(days=_DAYS))
    found = against(settings.data, chosen, settings.terms(then), prices or settings.prices)
    if not found.value("sessions"):
        raise nothing(found.scope, "sessions")
    found = executive(found)
    out.write_answer(
        kind, "Business dashboard", lambda: head(found), lambda: [grid(found)], lambda: document(found), written.output
    )
    return finish(found.scope)
