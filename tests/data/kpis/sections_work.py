"""What the bot's parts did in the twelve calls, section by section, counted anew. Standard library only."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from figures import Cell, Key, cells, mean, percentile, ratio
from raw import Call, Span
from work import Exchange, Work, exchanges, work

__all__ = ["recompute"]

AS_OF = datetime.fromisoformat("2026-04-05T12:00:00+00:00")
P50, P95, P99 = Fraction("0.5"), Fraction("0.95"), Fraction("0.99")
LOW_CONFIDENCE = Fraction("0.7")
MINUTE = 60 * 10**9


def names(of: Iterable[Work]) -> list[str]:
    """Whose operations they are."""
    return [one.name for one in of]


def failures(of: list[Work]) -> int:
    """How many failed."""
    return sum(one.span.failed for one in of)


def groups(of: list[Work], by: Callable[[Work], str]) -> list[tuple[str, list[Work]]]:
    """Operations of the same name."""
    return [(name, [one for one in of if by(one) == name]) for name in sorted({by(one) for one in of})]


def confidences(of: list[Work]) -> list[Fraction]:
    """Those that were told."""
    told = [one.span.get("voicebot.intent.confidence") for one in of]
    return [Fraction(str(one)) for one in told if one is not None]


def latencies(calls: list[Call]) -> dict[Key, Cell]:
    """Of models and tools, in windows that end when the KPIs are asked for."""
    found: dict[Key, Cell] = {}
    for hours in (1, 24, 168, 720, 2160):
        inside = [
            one for one in work(calls)
            if one.component in ("llm", "tool") and AS_OF - timedelta(hours=hours) < one.begun <= AS_OF
        ]  # fmt: skip
        for row, of in groups(inside, lambda one: f"{one.component} {one.model or '-'} {one.operation or '-'}"):
            times = [one.seconds for one in of]
            found |= cells(
                "latencies", f"{hours} {row}", names(of),
                operations=len(of), success_rate=ratio(len(of) - failures(of), len(of)),
                per_minute=Fraction(len(of), hours * 60), mean_s=mean(times), max_s=max(times),
                p50_s=percentile(times, P50), p95_s=percentile(times, P95), p99_s=percentile(times, P99),
            )  # fmt: skip
    return found


def load(calls: list[Call]) -> dict[Key, Cell]:
    """Minute by minute, where something began; failures of it and the four minutes before."""
    done, turns = work(calls), exchanges(calls)
    found: dict[Key, Cell] = {}
    for minute in {one.span.start // MINUTE for one in done} | {turn.start // MINUTE for turn in turns}:
        asked = [turn.call.name for turn in turns if turn.start // MINUTE == minute]
        begun = [one for one in done if one.span.start // MINUTE == minute]
        lately = [one for one in done if minute - 5 < one.span.start // MINUTE <= minute]
        found |= cells(
            "load", datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M"), asked + names(begun),
            requests=len(asked), operations=len(begun), errors=failures(begun),
            error_rate_5m=ratio(failures(lately), len(lately)),
        )  # fmt: skip
    return found


def intents(calls: list[Call]) -> dict[Key, Cell]:
    """What callers wanted, and how surely it was understood."""
    heard = [one for one in work(calls) if one.component == "nlu"]
    found: dict[Key, Cell] = {}
    for intent, of in groups(heard, lambda one: str(one.span.get("voicebot.intent.name"))):
        sure = confidences(of)
        low = sum(one < LOW_CONFIDENCE for one in sure)
        found |= cells(
            "intents", intent, names(of),
            classifications=len(of), share=ratio(len(of), len(heard)), confident=len(sure), mean_confidence=mean(sure),
            low_confidence=low, low_confidence_rate=ratio(low, len(sure)),
            fallbacks=sum(bool(one.span.get("voicebot.intent.fallback")) for one in of),
        )  # fmt: skip
    return found


def mos(calls: list[Call]) -> dict[Key, Cell]:
    """Scores, each kind by itself."""
    kinds: dict[str, list[tuple[str, Fraction]]] = {}
    for call in calls:
        for span in call.spans:
            if (score := span.get("voicebot.mos")) is not None:
                kind = span.get("voicebot.mos.kind") or "unknown"
                kinds.setdefault(kind, []).append((call.name, Fraction(str(score))))
    found: dict[Key, Cell] = {}
    for kind, told in kinds.items():
        scores = [score for _, score in told]
        of = [name for name, _ in told]
        found |= cells("mos", kind, of, scores=len(scores), mos=mean(scores), worst=min(scores))
    return found


def errors(calls: list[Call]) -> dict[Key, Cell]:
    """What failed, by part and kind."""
    failed = [one for one in work(calls) if one.span.failed]
    rows = groups(failed, lambda one: f"{one.component} {one.provider or '-'} {one.span.get('error.type') or '_OTHER'}")
    return {key: cell for row, of in rows for key, cell in cells("errors", row, names(of), errors=len(of)).items()}


def components(calls: list[Call]) -> dict[Key, Cell]:
    """Each part's time and failures, provider by provider and model by model."""
    found: dict[Key, Cell] = {}
    for row, of in groups(work(calls), lambda one: f"{one.component} {one.provider or '-'} {one.model or '-'}"):
        times = [one.seconds for one in of]
        found |= cells(
            "components", row, names(of),
            operations=len(of), errors=failures(of), mean_s=mean(times), max_s=max(times),
            p50_s=percentile(times, P50), p95_s=percentile(times, P95), p99_s=percentile(times, P99),
        )  # fmt: skip
    return found


def outcomes(calls: list[Call]) -> dict[Key, Cell]:
    """How calls ended, and how long they were then."""
    ends: dict[str, list[Call]] = {}
    for call in calls:
        ends.setdefault(f"{call.outcome} {call.root.get('voicebot.session.end_reason') or '-'}", []).append(call)
    found: dict[Key, Cell] = {}
    for row, of in ends.items():
        found |= cells(
            "outcomes", row, [call.name for call in of],
            sessions=len(of), mean_duration_s=mean([call.seconds for call in of]),
            mean_turns=mean([Fraction(len(call.named("turn"))) for call in of]),
        )  # fmt: skip
    return found


def drop_off(calls: list[Call]) -> dict[Key, Cell]:
    """What those wanted last that came to no end of their own; the short ones didn't drop off."""
    last: dict[str, list[Call]] = {}
    for call in calls:
        told = [(span.start, span.get("voicebot.intent.name")) for span in call.named("nlu")]
        last.setdefault(max(told)[1] if told else "-", []).append(call)
    gone = [call for call in calls if call.outcome in ("abandoned", "unknown") and not call.short]
    found: dict[Key, Cell] = {}
    for intent, of in last.items():
        here = [call for call in of if call in gone]
        found |= cells(
            "drop_off", intent, [call.name for call in of],
            dropped=len(here), sessions=len(of), share=ratio(len(here), len(gone)), of_intent=ratio(len(here), len(of)),
            mean_turns=mean([Fraction(len(call.named("turn"))) for call in here]),
            mean_duration_s=mean([call.seconds for call in here]),
        )  # fmt: skip
    return found


def said(span: Span) -> int:
    """Words of caller or bot."""
    return sum(span.get(f"voicebot.{who}.words") or 0 for who in ("user", "bot"))


def conversation(calls: list[Call]) -> dict[Key, Cell]:
    """How long those are in which somebody spoke: all calls are one bot's."""
    spoken = [call for call in calls if call.named("turn")]
    turns = [Fraction(len(call.named("turn"))) for call in spoken]
    words = [Fraction(sum(said(span) for span in call.spans)) for call in spoken]
    return cells(
        "conversation", "bank", [call.name for call in spoken],
        sessions=len(calls), conversations=len(spoken), mean_turns=mean(turns), median_turns=percentile(turns, P50),
        mean_words=mean(words), mean_duration_s=mean([call.seconds for call in spoken]),
    )  # fmt: skip


def bots(calls: list[Call]) -> dict[Key, Cell]:
    """All calls are one bot's."""
    done, turns = work(calls), exchanges(calls)
    gaps = [turn.gap for turn in turns if turn.gap is not None]
    looked = [one.hit for one in done if one.component == "cache" and one.hit is not None]
    judged = [call for call in calls if not call.short and call.outcome != "unknown"]
    return cells(
        "bots", "bank", [call.name for call in calls],
        sessions=len(calls), turns=len(turns), operations=len(done), errors=failures(done),
        p50_s=percentile(gaps, P50), p95_s=percentile(gaps, P95), p99_s=percentile(gaps, P99),
        success_rate=ratio(len(done) - failures(done), len(done)), cache_hit_rate=ratio(sum(looked), len(looked)),
        escalated=sum(call.eligible and call.asked_for_human for call in calls),
        session_success_rate=ratio(sum(call.outcome == "resolved" for call in calls), len(judged)),
    )  # fmt: skip


def adapters(calls: list[Call]) -> dict[Key, Cell]:
    """What was done with each adapter and schema; words are those of recognisers that were checked."""

    def row(one: Work) -> str:
        return " ".join([one.component, *(str(one.span.get(key) or "-") for key in ADAPTED)])

    found: dict[Key, Cell] = {}
    for name, of in groups([one for one in work(calls) if any(one.span.get(key) for key in ADAPTED)], row):
        checked: list[Span] = [one.span for one in of if one.span.get("voicebot.wer.words") is not None]
        found |= cells(
            "adapters", name, names(of),
            operations=len(of), errors=failures(of), mean_confidence=mean(confidences(of)),
            fallbacks=sum(bool(one.span.get("voicebot.intent.fallback")) for one in of),
            p50_s=percentile([one.seconds for one in of], P50),
            wer_errors=sum(span.get("voicebot.wer.errors") for span in checked) if checked else None,
            wer_words=sum(span.get("voicebot.wer.words") for span in checked) if checked else None,
        )  # fmt: skip
    return found


ADAPTED = ("voicebot.adapter", "voicebot.intent.schema")


def became(calls: list[Call], of: list[Work]) -> dict[str, Fraction | int | None]:
    """What became of the turns and calls in which something was used."""
    where = {(one.name, one.span.get("voicebot.turn.index")) for one in of}
    turns: list[Exchange] = [turn for turn in exchanges(calls) if (turn.call.name, turn.turn) in where]
    gaps = [turn.gap for turn in turns if turn.gap is not None]
    inside = [call for call in calls if call.name in names(of)]
    judged = [call for call in inside if call.outcome != "unknown"]
    return {
        "turns": len(turns),
        "p50_s": percentile(gaps, P50),
        "p95_s": percentile(gaps, P95),
        "abandoned_rate": ratio(len(turns) - len(gaps), len(turns)),
        "sessions": len(inside),
        "resolved_share": ratio(sum(call.outcome == "resolved" for call in judged), len(judged)),
    }


def cache_entries(calls: list[Call]) -> dict[Key, Cell]:
    """Lookups that name an entry."""
    looked = [one for one in work(calls) if one.component == "cache" and one.span.get("voicebot.cache.entry")]
    found: dict[Key, Cell] = {}
    for row, of in groups(looked, lambda one: f"{one.operation} {one.span.get('voicebot.cache.entry')}"):
        told = [one.hit for one in of if one.hit is not None]
        found |= cells("cache_entries", row, names(of), lookups=len(told), hits=sum(told), **became(calls, of))
    return found


def intent_schemas(calls: list[Call]) -> dict[Key, Cell]:
    """Versions of the schema that something was understood by."""
    heard = [one for one in work(calls) if one.component == "nlu" and one.span.get("voicebot.intent.schema")]
    found: dict[Key, Cell] = {}
    for row, of in groups(heard, lambda one: str(one.span.get("voicebot.intent.schema"))):
        sure = confidences(of)
        fell = sum(bool(one.span.get("voicebot.intent.fallback")) for one in of)
        found |= cells(
            "intent_schemas", row, names(of),
            classifications=len(of), intents=len({one.span.get("voicebot.intent.name") for one in of}),
            mean_confidence=mean(sure), fallback_rate=ratio(fell, len(of)),
            low_confidence_rate=ratio(sum(one < LOW_CONFIDENCE for one in sure), len(sure)), **became(calls, of),
        )  # fmt: skip
    return found


def recompute(calls: list[Call]) -> dict[Key, Cell]:
    """Every cell."""
    parts = (
        latencies,
        load,
        intents,
        mos,
        errors,
        components,
        outcomes,
        drop_off,
        conversation,
        bots,
        adapters,
        cache_entries,
        intent_schemas,
    )
    return {key: cell for part in parts for key, cell in part(calls).items()}
