"""What was promised and allowed, against what the twelve calls did. Standard library only.

Asked on 8 March at noon: seven and a half of the month's 31 days are over, and s12 is still to come.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from figures import Cell, Key, Value, cells, percentile, ratio
from raw import Call
from work import Work, exchanges, paid, work

__all__ = ["MOMENT", "recompute"]

HERE = Path(__file__).parent
MOMENT = datetime.fromisoformat("2026-03-08T12:00:00+00:00")
QUANTILES = {"p50": Fraction("0.5"), "p95": Fraction("0.95"), "p99": Fraction("0.99")}
MONTH_DAYS = 31
STATES = (None, "ok", "warning", "used_up")
LEAST = Fraction(1, 20)
"""Of a period that has to be over before an end is foretold."""


def allowed(name: str) -> dict[str, Any]:
    """A file of targets or quotas; its numbers exactly."""
    found: dict[str, Any] = json.loads((HERE / name).read_text(), parse_float=Fraction)
    return found


def timed(calls: list[Call]) -> Iterator[tuple[str, str | None, str, int, Fraction]]:
    """Component, operation, call, begin and seconds of all that has a target."""
    for one in work(calls):
        yield one.component, one.operation, one.name, one.span.start, one.seconds
    for call in calls:
        for span in call.named("handoff"):
            yield "handoff", None, call.name, span.start, Fraction(span.end - span.start, 10**9)
    for turn in exchanges(calls):
        if turn.gap is not None:
            yield "turn", None, turn.call.name, turn.start, turn.gap


def sla(calls: list[Call]) -> dict[Key, Cell]:
    """Windows of an hour, a day and a week."""
    found: dict[Key, Cell] = {}
    until = int(MOMENT.timestamp()) * 10**9
    for hours in (1, 24, 168):
        inside = [one for one in timed(calls) if until - hours * 3600 * 10**9 < one[3] <= until]
        for target in allowed("targets.json")["targets"]:
            component, operation = target["component"], target.get("operation")
            of = [one for one in inside if one[0] == component and operation in (None, one[1])]
            times = [one[4] for one in of]
            for quantile, at in QUANTILES.items():
                if f"{quantile}_s" not in target:
                    continue
                limit, measured = Fraction(target[f"{quantile}_s"]), percentile(times, at)
                found |= cells(
                    "sla", f"{hours} {component} {quantile}", [one[2] for one in of],
                    measured_s=measured, met=None if measured is None else measured <= limit,
                    n=len(times), violations=sum(time > limit for time in times),
                )  # fmt: skip
    return found


def amount(one: Work, unit: str) -> Fraction | None:
    """How much of a unit an operation used; None where it doesn't tell."""
    if unit == "calls":
        return Fraction(1)
    if unit == "usd":
        return one.price
    if unit == "seconds":
        return one.audio
    told = one.tokens if unit == "tokens" else one.span.get("voicebot.tts.characters")
    return None if told is None else Fraction(told)


class Limit(NamedTuple):
    """A line of quotas.json: how much is allowed, from which share on there is a warning, and of which period."""

    service: str | None
    component: str | None
    period: str
    unit: str
    allowed: Fraction
    warning: Fraction
    begin: datetime
    days: int


def limits() -> Iterator[Limit]:
    """Quotas and budgets, unit by unit."""
    file = allowed("quotas.json")
    day = MOMENT.replace(hour=0)
    for entry in file["quotas"] + file["budgets"]:
        for unit in ("calls", "tokens", "characters", "seconds", "usd"):
            if unit in entry:
                begin, days = (day.replace(day=1), MONTH_DAYS) if entry["period"] == "month" else (day, 1)
                many, warning = Fraction(entry[unit]), Fraction(entry.get("warning_share", file["warning_share"]))
                service, component = entry.get("service"), entry.get("component")
                yield Limit(service, component, entry["period"], unit, many, warning, begin, days)


class Use(NamedTuple):
    """A quota or budget, and what was used of it."""

    service: str | None
    component: str | None
    share: Fraction | None
    worst: int
    """Where in ``STATES``."""


def quota(of: list[Work], limit: Limit) -> tuple[Use, dict[str, Value]]:
    """How much is used, and when all of it will be, at the pace so far; ``of``: what was paid for in the period."""
    told = [used for one in of if (used := amount(one, limit.unit)) is not None]
    used = sum(told, Fraction(0)) if told or not of else None
    share = None if used is None else used / limit.allowed
    worst = 0 if share is None else 3 if share >= 1 else 2 if share >= limit.warning else 1
    over = Fraction((MOMENT - limit.begin) // timedelta(seconds=1), 86_400)
    pace = share / over if share is not None and over / limit.days >= LEAST else None
    ends = pace and share and share < 1 and 1 / pace < limit.days
    end = limit.begin + timedelta(microseconds=int(86_400_000_000 / pace)) if ends and pace else None
    return Use(limit.service, limit.component, share, worst), {
        "used": used,
        "used_share": share,
        "state": STATES[worst],
        "projected_share": None if pace is None else pace * limit.days,
        "used_up_at": None if end is None else end.isoformat(),
        "unknown": len(of) - len(told),
    }


def quotas(calls: list[Call]) -> dict[Key, Cell]:
    """Each quota and budget; and of each service that of which most is used."""
    found: dict[Key, Cell] = {}
    uses = []
    for limit in limits():
        of = [
            one for one in paid(calls)
            if limit.service in (None, one.service) and limit.component in (None, one.component)
            and limit.begin <= one.begun < MOMENT
        ]  # fmt: skip
        use, values = quota(of, limit)
        uses.append(use)
        row = f"{limit.service or '-'} {limit.period} {limit.unit}"
        found |= cells("quotas", row, [one.name for one in of], **values)
    for service, component in {(one.service, one.component) for one in paid(calls)}:
        mine = [use for use in uses if use.service == service and use.component in (None, component)]
        names = [one.name for one in paid(calls) if (one.service, one.component) == (service, component)]
        shares = [use.share for use in mine if use.share is not None]
        found |= cells(
            "services", f"{service} {component}", names,
            quota_share=max(shares, default=None), quota_state=STATES[max((use.worst for use in mine), default=0)],
        )  # fmt: skip
    return found


def caches(calls: list[Call]) -> dict[Key, Cell]:
    """Lookups, and whether they hit as often as they should."""
    wanted = {one["cache"]: Fraction(one["hit_rate"]) for one in allowed("targets.json")["caches"]}
    looked = [one for one in work(calls) if one.component == "cache" and one.hit is not None]
    found: dict[Key, Cell] = {}
    for cache in sorted({str(one.operation) for one in looked}):
        of = [one for one in looked if one.operation == cache]
        hits, target = sum(bool(one.hit) for one in of), wanted.get(cache)
        found |= cells(
            "caches", cache, [one.name for one in of],
            lookups=len(of), hits=hits, misses=len(of) - hits, hit_rate=ratio(hits, len(of)), target=target,
            met=None if target is None else Fraction(hits, len(of)) >= target,
        )  # fmt: skip
    return found


def recompute(calls: list[Call]) -> dict[Key, Cell]:
    """Every cell."""
    return {key: cell for part in (sla, quotas, caches) for key, cell in part(calls).items()}
