"""``business-dashboard``, also ``otel-voicebot business-dashboard``."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish, nothing
from otel_voicebot.cli.options import (
    AsOf,
    Bot,
    Channel,
    Csv,
    Data,
    Environment,
    Format,
    Intent,
    Json,
    Output,
    PriceFile,
    Question,
    Since,
    Until,
    Variant,
    chosen_format,
)

__all__ = ["business_dashboard"]

_DAYS: Final = 30


def business_dashboard(
    *,
    data: Data = None,
    since: Since = None,
    until: Until = None,
    bot: Bot = None,
    channel: Channel = None,
    variant: Variant = None,
    environment: Environment = None,
    intent: Intent = None,
    as_of: AsOf = None,
    prices: PriceFile = None,
    format_: Format = None,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
) -> int:
    """What an executive asks: volume, resolution, satisfaction, speed, cost.

    Each with its change against as long a period just before, and whether that is better or worse. Default: the last
    30 days. A change may be chance: `otel-voicebot compare` tells.
    """
    kind = chosen_format(format_, "table", json=json, csv=csv)
    question = Question(data, since, until, bot, channel, variant, environment, intent, as_of)
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
        kind, "Business dashboard", lambda: head(found), lambda: [grid(found)], lambda: document(found), output
    )
    return finish(found.scope)
