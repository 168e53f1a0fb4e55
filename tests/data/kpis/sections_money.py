"""What the twelve calls cost and whom it was paid to, counted anew. Standard library only."""

from fractions import Fraction

from figures import Cell, Key, cells, mean, percentile, ratio
from raw import Call
from work import Work, exchanges, paid, work

__all__ = ["recompute"]

P50, P95 = Fraction("0.5"), Fraction("0.95")


def names(of: list[Work]) -> list[str]:
    """Whose operations they are."""
    return [one.name for one in of]


def usd(of: list[Work]) -> Fraction | None:
    """What has a price, in all; None where nothing has."""
    prices = [one.price for one in of if one.price is not None]
    return sum(prices, Fraction(0)) if prices else None


def priced(of: list[Work]) -> list[Work]:
    """Those with a price."""
    return [one for one in of if one.price is not None]


def costs(calls: list[Call]) -> dict[Key, Cell]:
    """Each model by itself, lines by their channel."""
    found: dict[Key, Cell] = {}
    everything = paid(calls)
    for component, model in sorted({(one.component, str(one.model)) for one in everything}):
        of = [one for one in everything if (one.component, one.model) == (component, model)]
        each = None if usd(of) is None else ratio(usd(of) or 0, len(priced(of)))
        found |= cells(
            "costs", f"{component} {model}", names(of),
            operations=len(of), priced=len(priced(of)), cost_usd=usd(of), cost_per_operation_usd=each,
        )  # fmt: skip
    return found


def cost_by_session(calls: list[Call]) -> dict[Key, Cell]:
    """Each call by itself."""
    found: dict[Key, Cell] = {}
    for call in calls:
        of = paid([call])
        share = ratio(len(priced(of)), len(of))
        found |= cells("cost_by_session", call.name, [call.name], cost_usd=usd(of), priced_share=share)
    return found


def ranked(section: str, groups: dict[str, list[Work]]) -> dict[Key, Cell]:
    """Agents or decisions, the cheapest success first, of equal ones the quicker; without a price there is no rank."""
    places: dict[str, tuple[Fraction, Fraction]] = {}
    for name, of in groups.items():
        total, successes = usd(of), [one for one in priced(of) if not one.span.failed]
        if total is not None and successes:
            places[name] = (total / len(successes), mean([one.seconds for one in of]) or Fraction(0))
    found: dict[Key, Cell] = {}
    for name, of in groups.items():
        mine = places.get(name)
        found |= cells(
            section, name, names(of),
            operations=len(of), errors=sum(one.span.failed for one in of),
            tokens=sum(one.tokens or 0 for one in of), mean_s=mean([one.seconds for one in of]), cost_usd=usd(of),
            cost_per_success_usd=mine[0] if mine else None,
            efficiency_rank=1 + sum(other < mine for other in places.values()) if mine else None,
        )  # fmt: skip
    return found


def agents(calls: list[Call]) -> dict[Key, Cell]:
    """Each agent and decision; then each agent, and each decision, with all that it did."""
    pairs: dict[str, list[Work]] = {}
    alone: dict[str, dict[str, list[Work]]] = {"agent": {}, "decision": {}}
    for one in work(calls):
        who, what = one.span.get("voicebot.agent"), one.span.get("voicebot.decision")
        if who and what:
            pairs.setdefault(f"{who} {what}", []).append(one)
            alone["agent"].setdefault(f"agent {who}", []).append(one)
            alone["decision"].setdefault(f"decision {what}", []).append(one)
    found = ranked("agents", pairs)
    for groups in alone.values():
        found |= ranked("agent_costs", groups)
    return found


def services(calls: list[Call]) -> dict[Key, Cell]:
    """Whom something was bought of; nobody tells whether a line failed."""
    found: dict[Key, Cell] = {}
    bought = paid(calls)
    for service, component in sorted({(str(one.service), one.component) for one in bought}):
        of = [one for one in bought if (one.service, one.component) == (service, component)]
        line = component == "telephony"
        heard = [one.audio for one in of if one.audio is not None]
        written = [one.span.get("voicebot.tts.characters") for one in of if component == "tts"]
        times = [] if line else [one.seconds for one in of]
        found |= cells(
            "services", f"{service} {component}", names(of),
            operations=len(of), success_rate=None if line else ratio(sum(not one.span.failed for one in of), len(of)),
            p50_s=percentile(times, P50), p95_s=percentile(times, P95),
            tokens=None if line else sum(one.tokens or 0 for one in of),
            audio_s=sum(heard, Fraction(0)) if heard else None, characters=sum(written) if written else None,
            cost_usd=usd(of),
        )  # fmt: skip
    return found


def summary(calls: list[Call]) -> dict[Key, Cell]:
    """What no KPI says: the price of an exchange and of a model call, and how often one came."""
    turns, everything = exchanges(calls), paid(calls)
    asked = [one for one in everything if one.component == "llm"]
    begun = [turn.start // (60 * 10**9) for turn in turns]
    minutes = max(begun) - min(begun) + 1
    figures = {
        "cost_per_request_usd": (usd(everything), len(turns), names(everything)),
        "cost_per_model_call_usd": (usd(asked), len(priced(asked)), names(priced(asked))),
        "requests_per_minute": (Fraction(len(turns)), minutes, [turn.call.name for turn in turns]),
    }
    found = cells("summary", "model_calls", names(asked), value=len(asked), numerator=len(asked), denominator=None)
    for name, (above, below, of) in figures.items():
        value = None if above is None else ratio(above, below)
        found |= cells("summary", name, of, value=value, numerator=above, denominator=below)
    return found


def recompute(calls: list[Call]) -> dict[Key, Cell]:
    """Every cell."""
    parts = (costs, cost_by_session, agents, services, summary)
    return {key: cell for part in parts for key, cell in part(calls).items()}
