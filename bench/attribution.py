"""How far the cut of generated exchanges is from the truth: what ATTRIBUTION's properties bound, over more of them."""

import itertools
from collections.abc import Callable, Sequence
from typing import Final

from bench.figures import Figure, Section
from bench.truth.draws import Draw, draws
from bench.truth.exchange import build
from bench.truth.faults import CULPRITS, STAGES, slower
from bench.truth.measure import Judged, Summary, blamed, cut, judged, largest, shares, spent, summary
from bench.truth.native import World, world

__all__ = ["run"]

_SKEW_MS: Final = 50.0
_LEFT_OUT: Final = {
    "endpointing": ("voicebot.endpointing", ("endpointing",)),
    "LLM": ("chat", ("llm_first_token", "llm_speakable")),
    "tool": ("execute_tool", ("tool",)),
    "RAG": ("voicebot.rag", ("rag",)),
    "NLU": ("voicebot.nlu", ("nlu",)),
    "TTS": ("voicebot.tts", ("tts_first_audio",)),
}


_MEANS: Final = (
    "Misplaced: given to a wrong segment or stage. Full marks: answered, and spans tell of first tokens, background "
    "work and whose words a voice speaks. 2 s more: of the exchanges in which the slower thing truly has the largest "
    "segment, those in which it is named; of those with full marks, those in which its time is right but for 15 ms "
    "(clocks apart: 100 ms). Without spans: the share of all waits that is the component's, and that is nobody's."
)


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Generate, cut, compare; about a minute."""
    count, each = (1500, 60) if quick else (12_000, 200)
    drawn = list(draws(count, seed=101))
    tell(f"attribution: {count:,} exchanges by one clock")
    made = world(drawn)
    plain = judged(made, cut(made))
    tell(f"attribution: the same with clocks up to {_SKEW_MS:.0f} ms off")
    apart = world(drawn, seed=102, skew_ms=_SKEW_MS)
    skewed = judged(apart, cut(apart))
    tell(f"attribution: what is slower, {len(CULPRITS)} times {each}, twice")
    named = [_culprits(each, skew) for skew in (0.0, _SKEW_MS)]
    tell("attribution: what no time at all would have saved")
    compared, above = _counterfactual(drawn, plain)
    tell("attribution: one component's spans left out")
    rows: list[list[str | float]] = [*_placed("", plain), *_placed(f", clocks ±{_SKEW_MS:.0f} ms", skewed)]
    rows += [[f"2 s more: {name}", each, *(text for found in named for text in found[name])] for name in CULPRITS]
    rows += _left_out(made, plain)
    saved = f"Counterfactual: {compared:,} stages took no time at all, {above} saved more than their segment."
    title = f"{count:,} generated exchanges whose causes are known"
    columns = ["", "exchanges", "% misplaced", "p95 ms", "p99 ms", "worst ms"]
    return Section("attribution", title, columns, rows, _figures(plain, skewed), [_MEANS, saved])


def _full(of: Sequence[Judged]) -> list[Judged]:
    return [one for one in of if one.exchange.complete]


def _placed(title: str, of: Sequence[Judged]) -> list[list[str | float]]:
    rows: list[list[str | float]] = []
    for name, some in (("all", of), ("full marks", _full(of))):
        found: Summary = summary(some)
        rows.append([name + title, found.exchanges, 100 * found.share, found.p95, found.p99, found.worst])
    return rows


def _culprits(each: int, skew_ms: float) -> dict[str, tuple[str, str]]:
    """Per culprit, how often it is named when it should be, and how often its time is right."""
    some = list(draws(each, seed=103))
    made = world(itertools.chain.from_iterable(slower(c, some) for c in CULPRITS.values()), seed=104, skew_ms=skew_ms)
    found = judged(made, cut(made))
    told = {}
    for number, (name, culprit) in enumerate(CULPRITS.items()):
        of = found[number * each : (number + 1) * each]
        so = [one for one in of if (main := largest(one.exchange.truth)) and main[0] == culprit.segment]
        right = sum(largest(one.parts) == largest(one.exchange.truth) for one in so)
        tolerance = 2 * skew_ms * 1e6 or 15e6
        full = _full(of)
        timed = sum(_timed(one, culprit.segment, tolerance) for one in full)
        clocks = " apart" if skew_ms else ""
        told[name] = (f"named{clocks} {right / len(so):.1%}", f"timed{clocks} {timed / len(full):.1%}")
    return told


def _timed(one: Judged, segment: str, tolerance: float) -> bool:
    true, ours = spent(one.exchange.truth), spent(one.parts)
    main = max((cause for cause in true if cause[0] == segment), key=lambda cause: true[cause], default=None)
    return main is None or abs(ours.get(main, 0) - true[main]) <= tolerance


def _counterfactual(drawn: Sequence[Draw], plain: Sequence[Judged]) -> tuple[int, int]:
    """How many stages were left out that had saved something, and how many of them saved more than their segment."""
    compared = above = 0
    for draw, one in zip(drawn, plain, strict=True):
        if not one.exchange.complete or one.exchange.traits & {"preemptive", "hedge"}:
            continue
        for time in STAGES:
            instead = build(draw.but({time: 0}))
            saved = one.exchange.end - instead.end
            if "preemptive" not in instead.traits and saved > 0:
                compared += 1
                above += saved > blamed(one, STAGES[time]) + 1e6
    return compared, above


def _left_out(made: World, plain: Sequence[Judged]) -> list[list[str | float]]:
    before = shares(plain)
    rows: list[list[str | float]] = []
    for component, (name, segments) in _LEFT_OUT.items():
        after = shares(judged(made, cut(made, lambda span, name=name: not span.name.startswith(name))))  # type: ignore[misc]
        had, has = (sum(of.get(segment, 0.0) for segment in segments) for of in (before, after))
        none, then = (of.get("unattributed", 0.0) for of in (before, after))
        texts = [f"its {had:.1%}", f"its then {has:.1%}", f"nobody's {none:.1%}", f"then {then:.1%}"]
        rows.append([f"without spans of {component}", len(plain), *texts])
    return rows


def _figures(plain: Sequence[Judged], skewed: Sequence[Judged]) -> list[Figure]:
    full, apart = summary(_full(plain)), summary(_full(skewed))
    return [
        Figure("misplaced, full marks", 100 * full.share, "%", "<=", 0.15),
        Figure("... most of an exchange", full.worst, "ms", "<=", 15),
        Figure("misplaced, all exchanges", 100 * summary(plain).share, "%", "<=", 1.5),
        Figure("misplaced, all exchanges, clocks apart", 100 * summary(skewed).share, "%", "<=", 4.5),
        Figure("... full marks, p95 of an exchange", apart.p95, "ms", "<=", 150),
        Figure("... p99", apart.p99, "ms", "<=", 250),
    ]
