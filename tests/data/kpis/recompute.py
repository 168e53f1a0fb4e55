"""Counts the twelve calls anew from the raw spans: ``python tests/data/kpis/recompute.py``. Standard library only.

Written from the definitions (FIELD 2), not from the SQL. Prints what differs from ``expected.csv`` and
``sections.csv``; exit code 1 when something does. A value there may be a fraction; sums of money and percentiles are
exact fractions here.
"""

import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import sections
import work
from figures import once, percentile
from raw import Call, read

HERE = Path(__file__).parent
AS_OF = datetime.fromisoformat("2026-04-05T12:00:00+00:00")
LIMITS_AT = sections.LIMITS_AT
LOW_CONFIDENCE, HUMAN_USD = Fraction("0.7"), 5
OPERATIONS = ("stt", "chat", "tts", "nlu", "rag", "execute_tool", "cache", "api")


class Turn(NamedTuple):
    """One exchange: its wait in seconds, and whether that ended by an answer."""

    call: str
    wait: Fraction
    answered: bool
    interrupted: bool


class Answer(NamedTuple):
    """A KPI; None in ``denominator`` and ``provisional`` where it has none."""

    value: Fraction | None
    numerator: Fraction | None
    denominator: Fraction | None
    excluded: int
    provisional: int | None
    numerator_sessions: list[str]
    denominator_sessions: list[str]


def turns_of(call: Call) -> list[Turn]:
    """The call's exchanges."""
    found = []
    for span in call.named("turn"):
        at = {name: nano for name, nano, _ in span.events}
        heard, spoken = at["voicebot.user.speech.end"], at.get("voicebot.bot.speech.start")
        wait = Fraction((spoken or span.end) - heard, 10**9)
        found.append(Turn(call.name, wait, spoken is not None, bool(span.get("voicebot.turn.interrupted"))))
    return found


def share(numerator: list[str], denominator: list[str], excluded: int, provisional: int | None = None) -> Answer:
    """Of session ids; one that counts twice stands in a list twice."""
    above, below = Fraction(len(numerator)), Fraction(len(denominator))
    return Answer(
        above / below if below else None, above, below, excluded, provisional, once(numerator), once(denominator)
    )


def product_limit(turns: Sequence[Turn], at: Fraction) -> Fraction | None:
    """Kaplan-Meier: the wait after which at most 1 - at still wait."""
    waiting = Fraction(1)
    for wait in sorted({turn.wait for turn in turns if turn.answered}):
        ended = sum(turn.wait == wait and turn.answered for turn in turns)
        waiting *= 1 - Fraction(ended, sum(turn.wait >= wait for turn in turns))
        if waiting <= 1 - at:
            return wait
    return None


def of_waits(calls: list[Call]) -> dict[str, Answer]:
    """How long callers waited."""
    turns = [turn for call in calls for turn in turns_of(call)]
    answered = [turn for turn in turns if turn.answered]
    everyone, heard = [turn.call for turn in turns], [turn.call for turn in answered]
    number = Fraction(len(turns))
    found = {
        "turns": Answer(number, number, None, 0, None, once(everyone), []),
        "abandoned_wait_rate": share([turn.call for turn in turns if not turn.answered], everyone, 0),
        "interruption_rate": share([turn.call for turn in answered if turn.interrupted], heard, 0),
    }
    for name, at in (("p50", Fraction("0.5")), ("p95", Fraction("0.95")), ("p99", Fraction("0.99"))):
        gap, wait = percentile([turn.wait for turn in answered], at), product_limit(turns, at)
        left = len(turns) - len(answered)
        found[f"response_gap_{name}_s"] = Answer(gap, gap, Fraction(len(answered)), left, None, [], once(heard))
        found[f"wait_km_{name}_s"] = Answer(wait, wait, number, 0, None, [], once(everyone))
    return found


def of_calls(calls: list[Call]) -> dict[str, Answer]:
    """How calls ended."""
    names = [call.name for call in calls]

    def those(wanted: Callable[[Call], bool]) -> list[str]:
        return [call.name for call in calls if wanted(call)]

    eligible, talked = those(lambda call: call.eligible), those(lambda call: bool(turns_of(call)))
    left, short = len(calls) - len(eligible), len(those(lambda call: call.short))
    kept = those(lambda call: not call.short)
    seconds = sum((call.seconds for call in calls if call.name in talked), Fraction(0))
    automated = those(lambda call: not call.asked_for_human)
    saved = Fraction(len(automated) * HUMAN_USD)
    started = [call.name for call in calls for _ in range(call.tracked("workflow_started"))]
    done = [call.name for call in calls for _ in range(call.tracked("workflow_completed"))]
    number = Fraction(len(calls))
    return {
        "sessions": Answer(number, number, None, 0, None, names, []),
        "aht_s": Answer(
            seconds / len(talked), seconds, Fraction(len(talked)), len(calls) - len(talked), None, talked, talked
        ),
        "containment": share(those(lambda call: call.contained), eligible, left),
        "escalation_rate": share(those(lambda call: call.eligible and call.asked_for_human), eligible, left),
        "abandonment_rate": share(those(lambda call: call.outcome == "abandoned" and not call.short), kept, short),
        "session_success_rate": share(those(lambda call: call.outcome == "resolved"), kept, short),
        "automation_rate": share(automated, names, 0),
        "cost_savings_usd": Answer(saved, saved, None, 0, None, automated, []),
        "completion_rate": share(done, started, 0),
    }


def of_repeats(calls: list[Call]) -> dict[str, Answer]:
    """Who called again."""

    def again(call: Call, days: int) -> bool:
        others = [one for one in calls if one.issue == call.issue and one.start > call.start]
        return any(one.start <= call.end + timedelta(days=days) for one in others)

    def first(call: Call, days: int) -> bool:
        others = [one for one in calls if one.issue == call.issue and one.start < call.start]
        return not any(one.end >= call.start - timedelta(days=days) for one in others)

    found = {}
    known = [call for call in calls if call.issue and not call.short]
    for days in (1, 7, 30):
        issues = [call for call in known if first(call, days)]
        over = [call for call in issues if call.end + timedelta(days=days) <= AS_OF]
        solved = [call.name for call in over if call.outcome == "resolved" and not again(call, days)]
        found[f"fcr_{days}d"] = share(
            solved, [call.name for call in over], len(calls) - len(known), len(issues) - len(over)
        )
    asked = [call for call in calls if call.eligible and call.issue]
    over = [call for call in asked if call.end + timedelta(days=1) <= AS_OF]
    held = [call.name for call in over if call.contained and not again(call, 1)]
    left = len(calls) - len(asked)
    found["strict_containment_24h"] = share(held, [call.name for call in over], left, len(asked) - len(over))
    return found


def of_surveys(calls: list[Call]) -> dict[str, Answer]:
    """What callers answered, and what their ears would have."""
    csat = {call.name: call.score("voicebot.csat") for call in calls}
    nps = {call.name: call.score("voicebot.nps") for call in calls}
    rated, told = (
        [name for name, score in csat.items() if score],
        [name for name, score in nps.items() if score is not None],
    )
    total = Fraction(sum(csat[name] or 0 for name in rated))
    promoters = [name for name in told if (nps[name] or 0) >= 9]
    balance = Fraction(len(promoters) - sum((nps[name] or 0) <= 6 for name in told))
    voices = [(call.name, span.get("voicebot.mos")) for call in calls for span in call.named("tts")]
    heard = [(name, Fraction(score)) for name, score in voices if score is not None]
    scores = sum((score for _, score in heard), Fraction(0))
    of = once(name for name, _ in heard)
    left = len(calls) - len(rated)
    return {
        "csat_share": share([name for name in rated if (csat[name] or 0) >= 4], rated, left),
        "csat_mean": Answer(total / len(rated), total, Fraction(len(rated)), left, None, rated, rated),
        "csat_response_rate": share(rated, [call.name for call in calls], 0),
        "nps": Answer(
            100 * balance / len(told), balance, Fraction(len(told)), len(calls) - len(told), None, promoters, told
        ),
        "nps_response_rate": share(told, [call.name for call in calls], 0),
        "mos": Answer(scores / len(heard), scores, Fraction(len(heard)), len(voices) - len(heard), None, of, of),
    }


def of_operations(calls: list[Call]) -> dict[str, Answer]:
    """What the bot's parts did."""
    work = [(call.name, span) for call in calls for span in call.named(*OPERATIONS)]
    nlu = [(name, span) for name, span in work if span.name == "voicebot.nlu"]
    sure = [
        (name, Fraction(str(span.get("voicebot.intent.confidence"))))
        for name, span in nlu
        if span.get("voicebot.intent.confidence")
    ]
    looked = [(name, span.get("voicebot.cache.hit")) for name, span in work if span.name == "voicebot.cache"]
    stt = [(name, span) for name, span in work if span.name == "voicebot.stt"]
    checked = [(name, span) for name, span in stt if span.get("voicebot.wer.words") is not None]
    wrong = Fraction(sum(span.get("voicebot.wer.errors") for _, span in checked))
    words = Fraction(sum(span.get("voicebot.wer.words") for _, span in checked))
    models = [(name, span) for name, span in work if span.name.startswith("chat ")]
    found = {
        "error_rate": share([name for name, span in work if span.failed], [name for name, _ in work], 0),
        "wer": Answer(
            wrong / words,
            wrong,
            words,
            len(stt) - len(checked),
            None,
            once(name for name, span in checked if span.get("voicebot.wer.errors")),
            once(name for name, _ in checked),
        ),
        "cache_hit_rate": share([name for name, hit in looked if hit], [name for name, _ in looked], 0),
        "low_confidence_rate": share(
            [name for name, one in sure if one < LOW_CONFIDENCE], [name for name, _ in sure], len(nlu) - len(sure)
        ),
        "fallback_rate": share(
            [name for name, span in nlu if span.get("voicebot.intent.fallback")], [name for name, _ in nlu], 0
        ),
    }
    for way in ("input", "output"):
        counted = [span.get(f"gen_ai.usage.{way}_tokens") for _, span in models]
        total = Fraction(sum(one for one in counted if one is not None))
        found[f"{way}_tokens"] = Answer(
            total, total, None, counted.count(None), None, once(name for name, _ in models), []
        )
    return found


def of_money(calls: list[Call]) -> dict[str, Answer]:
    """What it cost."""
    paid = [(one.name, one.price) for one in work.paid(calls)]
    known = [(name, price) for name, price in paid if price is not None]
    total, left, payers = (
        sum((price for _, price in known), Fraction(0)),
        len(paid) - len(known),
        once(name for name, _ in known),
    )
    resolved = [call.name for call in calls if call.outcome == "resolved"]
    minutes = sum((call.seconds for call in calls), Fraction(0)) / 60

    def per(below: Fraction, of: list[str]) -> Answer:
        return Answer(total / below, total, below, left, None, payers, of)

    names = [call.name for call in calls]
    return {
        "cost_usd": Answer(total, total, None, left, None, payers, []),
        "cost_per_session_usd": per(Fraction(len(calls)), names),
        "cost_per_resolved_usd": per(Fraction(len(resolved)), resolved),
        "cost_per_talk_minute_usd": per(minutes, names),
        "priced_share": share([name for name, _ in known], [name for name, _ in paid], 0),
    }


def recompute(lines: Iterable[str]) -> dict[str, Answer]:
    """Every KPI of these OTLP JSON lines."""
    calls = read(lines)
    parts = (of_calls, of_waits, of_repeats, of_surveys, of_operations, of_money)
    return {name: answer for part in parts for name, answer in part(calls).items()}


def number(text: str) -> Fraction | None:
    """A number or a fraction of numbers, exactly."""
    if not text:
        return None
    above, _, below = text.partition("/")
    return Fraction(above) / Fraction(below or 1)


def expected() -> dict[str, Answer]:
    """What was counted with a pencil."""
    with (HERE / "expected.csv").open(newline="") as file:
        return {
            row["kpi"]: Answer(
                number(row["value"]), number(row["numerator"]), number(row["denominator"]), int(row["excluded"]),
                int(row["provisional"]) if row["provisional"] else None,
                row["numerator_sessions"].split(), row["denominator_sessions"].split(),
            )
            for row in csv.DictReader(file)
        }  # fmt: skip


def expected_sections() -> dict[sections.Key, sections.Cell]:
    """What was counted of sections, likewise."""
    with (HERE / "sections.csv").open(newline="") as file:
        return {
            (row["section"], row["row"], row["measure"]): (row["value"], row["sessions"].split())
            for row in csv.DictReader(file)
        }


def compare(kind: str, found: Mapping[Any, object], wanted: Mapping[Any, object]) -> int:
    """Say what differs; how much does."""
    differs = [name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)]
    for name in sorted(differs):
        sys.stdout.write(f"{name}\n  expected {wanted.get(name)}\n  found    {found.get(name)}\n")
    sys.stdout.write(f"{len(wanted)} {kind}, {len(differs)} differ\n")
    return len(differs)


def main() -> int:
    """Compare; 1 when something differs."""
    lines = (HERE / "spans.jsonl").read_text().splitlines()
    differs = compare("KPIs", recompute(lines), expected())
    differs += compare("cells of sections", sections.recompute(read(lines)), expected_sections())
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())
