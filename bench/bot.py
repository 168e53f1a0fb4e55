"""What a span costs in the bot: the same calls under a bare SDK, the stock processor and ours, in pairs.

Each measurement is a process of its own; variants take turns (A B C, A B C), so that a busy machine hits all of them.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from bench import workload
from bench.bot_child import VARIANTS
from bench.child import child
from bench.figures import Figure, Section

__all__ = ["run"]

_CLOCKS: Final = ("wall_us", "cpu_us")
_STEADY_VARIANTS: Final = ("bare", "stock+encoding", "ours")


class _Medians:
    """Medians over the repetitions, by (variant, mode)."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)

    def add(self, variant: str, mode: str, measured: dict[str, float]) -> None:
        self._runs[variant, mode].append(measured)

    def of(self, variant: str, mode: str, key: str) -> float:
        return statistics.median(run[key] for run in self._runs[variant, mode])

    def added(self, variant: str, mode: str, key: str) -> float:
        """What the variant costs on top of the bare SDK of the same round."""
        runs = zip(self._runs[variant, mode], self._runs["bare", mode], strict=True)
        return statistics.median(run[key] - bare[key] for run, bare in runs)

    def dropped(self, variant: str, mode: str) -> float:
        return sum(run["spans"] - run["arrived"] for run in self._runs[variant, mode])


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Measure all variants; about 10 minutes, `quick` about 1."""
    rounds = 2 if quick else 5
    # long enough that what happens once, at the end, weighs as little as in a bot that runs for days
    burst_turns = (8 if quick else 80) * 112
    saturated_turns = 1600 if quick else 4000
    steady_turns = 48 if quick else 112
    medians = _Medians()
    thread: _Thread = []
    for number in range(1, (2 if quick else 5) + 1):
        tell(f"bot: the calling thread, round {number}")
        thread.append(child("thread_child", 300 if quick else 600))
    for number in range(1, rounds + 1):
        for mode, turns in (("bursts", burst_turns), ("saturated", saturated_turns)):
            for variant in VARIANTS:
                tell(f"bot: {mode}, {variant}, round {number} of {rounds}")
                medians.add(variant, mode, child("bot_child", variant, mode, turns))
    for number in range(1, 2 if quick else 4):
        for variant in _STEADY_VARIANTS:
            tell(f"bot: 50 spans/s, {variant}, round {number}")
            medians.add(variant, "steady", child("bot_child", variant, "steady", steady_turns))
    spans = burst_turns // workload.TURNS_A_CALL * workload.SPANS_A_CALL
    return _section(medians, _thread_rows(thread), _thread_figures(thread), (rounds, spans))


_Thread = list[dict[str, dict[str, dict[str, float]]]]
"""What each run of ``thread_child`` printed."""


def _thread_rows(thread: _Thread) -> list[list[str | float]]:
    rows: list[list[str | float]] = []
    for kind, variants in thread[0].items():
        for name in variants:
            wall, cpu = (statistics.median(run[kind][name][clock] for run in thread) for clock in _CLOCKS)
            rows.append([f"one process, {kind}", name, wall, cpu, "", ""])
    return rows


def _thread_figures(thread: _Thread) -> list[Figure]:
    def ratio(kind: str, name: str, clock: str = "cpu") -> float:
        key = f"added_{clock}_us"
        return statistics.median(run[kind][name][key] / run[kind]["stock"][key] for run in thread)

    figures = []
    for kind in thread[0]:
        added = statistics.median(run[kind]["stock"]["added_cpu_us"] for run in thread)
        figures += [
            Figure(f"calling thread, stock adds ({kind})", added, "µs"),
            Figure(f"calling thread, added: ours / stock ({kind})", ratio(kind, "ours"), "", "<", 1, 0.5),
            Figure(f"the same in wall time ({kind})", ratio(kind, "ours", "wall"), "", "<", 1, 0.5),
            Figure(f"the same with configure() ({kind})", ratio(kind, "configure()"), "", "<", 1, 0.5),
            Figure(f"of it our queue alone / stock ({kind})", ratio(kind, "ours, queue alone")),
            Figure(f"of it the stamp alone / stock ({kind})", ratio(kind, "ours, stamp alone")),
        ]
    return figures


def _section(medians: _Medians, rows: list[list[str | float]], figures: list[Figure], size: tuple[int, int]) -> Section:
    for mode in ("bursts", "saturated"):
        for variant in VARIANTS:
            clocks = [medians.of(variant, mode, key) for key in ("thread_wall_us", "thread_cpu_us", "process_cpu_us")]
            rows.append([mode, variant, *clocks, medians.dropped(variant, mode)])

    def added(variant: str, key: str) -> float:
        return medians.added(variant, "bursts", key)

    thread, thread_cpu, cpu = "thread_wall_us", "thread_cpu_us", "process_cpu_us"
    figures += [
        Figure("calling thread in bursts, added: ours / stock", added("ours", thread) / added("stock", thread)),
        Figure("the same in CPU of that thread", added("ours", thread_cpu) / added("stock", thread_cpu)),
        Figure(
            "process CPU, added: ours / (stock + encoding)",
            added("ours", cpu) / added("stock+encoding", cpu),
            "",
            "<=",
            0.3,
            0.2,
        ),
        Figure("one core at 50 spans/s, added by ours", medians.added("ours", "steady", "core_percent"), "%", "<=", 3),
        Figure("the same, stock + encoding", medians.added("stock+encoding", "steady", "core_percent"), "%"),
        Figure(
            "spans dropped in bursts, all variants", sum(medians.dropped(v, "bursts") for v in VARIANTS), "", "<=", 0
        ),
    ]
    return Section(
        "bot",
        f"Cost of a span in the bot, µs (median of {size[0]})",
        ["mode", "variant", "thread wall", "thread CPU", "process CPU", "dropped (all rounds)"],
        rows,
        figures,
        [
            f"bursts: about 1,000 spans every 0.2 s, {size[1]:,} in all; CPU counts until all are worked off.",
            "saturated: no pause. Where spans are dropped, process CPU per span is flattered: they cost nothing later.",
            "Figures with 'added' are over the bare SDK of the same round; the stock processor's log of drops is off.",
        ],
    )
