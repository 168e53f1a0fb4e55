"""``business-dashboard``, also ``otel-voicebot business-dashboard``."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import ask, finish, nothing
from otel_voicebot.cli.options import (
    Bot,
    Channel,
    Csv,
    Data,
    Environment,
    Format,
    Intent,
    Json,
    Output,
    Question,
    Since,
    Until,
    Variant,
    chosen_format,
    moment,
)
from otel_voicebot.cli.report import PriceFile
from otel_voicebot.errors import NoDataError

if TYPE_CHECKING:
    from otel_voicebot.reports.dashboard import Dashboard
    from otel_voicebot.reports.periods import Period
    from otel_voicebot.reports.source import Opened

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
    question = Question(data, since, until, bot, channel, variant, environment, intent)
    found = _computed(question, datetime.now(UTC), prices)
    from otel_voicebot.reports.dashboard import document, grid, head  # noqa: PLC0415 - not for --help

    if kind == "json":
        out.write_json(document(found), output)
    elif kind == "table":
        out.write_table(head(found), [grid(found)], output)
    else:
        out.write(out.grids_as(kind, "Business dashboard", head(found), [grid(found)]), output)
    return finish(found.scope)


def _computed(question: Question, now: datetime, prices: Path | None) -> "Dashboard":
    from otel_voicebot.models.price_file import read_prices  # noqa: PLC0415 - not for --help
    from otel_voicebot.models.pricing import Prices  # noqa: PLC0415
    from otel_voicebot.reports.dashboard import Priced, dashboard, figures  # noqa: PLC0415
    from otel_voicebot.reports.periods import Period  # noqa: PLC0415

    end = moment(question.until, now, "--until")
    this = Period(moment(question.since, now, "--since") or (end or now) - timedelta(days=_DAYS), end)
    before = this.before(now)
    priced = prices or question.settings().prices
    listing = Prices(None if priced is None else read_prices(priced))

    def of(period: "Period") -> Priced:
        ends = {name: when.isoformat() for name, when in asdict(period).items() if when is not None}

        def answer(opened: "Opened") -> Priced:
            told = listing.give(opened.engine)
            return Priced(opened.scope, figures(opened.engine), told)

        return ask(replace(question, **{"since": None, "until": None, **ends}), now, answer, brief=True, kpis=True)

    new = of(this)
    if not new.value("sessions"):
        raise nothing(new.scope, "sessions")
    try:
        old = of(before)
    except NoDataError:
        old = None
    return dashboard(new, old, before)
