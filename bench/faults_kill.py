"""SIGKILL at a thousand seeded points of a store's writer, compactor and retention, and what is found after each."""

import random
import tempfile
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from bench.faults_child import SPANS, keys, ledger_numbers
from bench.faults_points import POINTS, Zygote, point_of
from bench.faults_tally import Tally, repeats_inside_hours, stored_keys
from bench.generate import EPOCH

__all__ = ["Kills", "kill_stores"]

_HOUR_NS: Final = 3_600_000_000_000
_KILLS_A_STORE: Final = 40
_CALLS: Final = {
    "before write": ("commit", ("write",)),
    "before fsync": ("commit", ("fsync",)),
    "before rename": ("commit", ("rename",)),
    "after rename": ("commit", ("fsync",)),
    "before ack": ("commit", ("writev",)),
    "compaction, before publish": ("compact", ("write", "fsync", "mkdir", "rename")),
    "compaction, after publish": ("compact", ("fsync", "rename", "unlink", "rmdir")),
    "retention": ("retain", ("write", "fsync", "rename", "unlink", "rmdir")),
}
"""To hit a named point: which work is killed, as it enters one of which calls."""


_AIMED: Final = 0.8
"""How often a kill goes where that point was in an earlier trace; else anywhere."""

Hints = dict[str, deque[tuple[str, int]]]
"""By named point: which call, and the how-many-th of its kind, it was in recent traces."""


@dataclass
class Kills:
    """What was hit, and what was found."""

    points: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=lambda: Tally("SIGKILL at a system call, store processes"))


class _Store:
    """One data directory that is written, killed, compacted, killed and dropped, again and again."""

    def __init__(self, directory: Path, zygote: Zygote, chance: random.Random, hints: Hints) -> None:
        self.data = directory / "data"
        self.ledger = directory / "ledger"
        self.dropped: set[int] = set()
        """Requests that may have lain in an hour that retention dropped: no longer promised."""
        self.gone: set[int] = set()
        """Requests of which every hour was dropped: nobody may see them."""
        self._zygote = zygote
        self._chance = chance
        self._now = EPOCH
        self._next = chance.getrandbits(48) * 1000
        self._hours: dict[int, set[int]] = defaultdict(set)
        # A short window leaves repeats to compaction and to the models, a long one catches them at the door.
        self._window_s = chance.choice((0.001, 86_400.0))
        self._hints = hints

    @property
    def acked(self) -> set[int]:
        return ledger_numbers(self.ledger)[1]

    def commit(self, aim: str = "") -> str | None:
        """Send what is not acknowledged yet, a few new requests and a repeat; the point where it was killed."""
        self._now += self._chance.randrange(_HOUR_NS // 3)
        sent, acked = ledger_numbers(self.ledger)
        waiting = [number for number in dict.fromkeys(sent) if number not in acked]
        repeats = self._chance.sample(sorted(acked - self.dropped), min(len(acked - self.dropped), 1))
        new = list(range(self._next, self._next + 3))
        self._next += len(new)
        numbers = [*waiting, *repeats, *new]
        for number in numbers:
            self._hours[number].add(self._now // _HOUR_NS)
        return self._run("commit", aim, numbers=numbers, window_s=self._window_s)

    def compact(self, aim: str = "") -> str | None:
        """Merge the hours that are over."""
        self._now += _HOUR_NS
        return self._run("compact", aim)

    def retain(self, aim: str = "") -> str | None:
        """Drop the older half of the hours; what is in them is no longer promised."""
        self._now += _HOUR_NS
        hours = sorted({hour for found in self._hours.values() for hour in found})
        horizon = hours[len(hours) // 2]
        self.dropped |= {number for number, found in self._hours.items() if min(found) < horizon}
        self.gone |= {number for number, found in self._hours.items() if max(found) < horizon}
        return self._run("retain", aim, horizon=horizon * _HOUR_NS)

    def _run(self, work: str, aim: str, **more: object) -> str | None:
        order = {"work": work, "data": str(self.data), "ledger": str(self.ledger), "now": self._now, **more}
        if not aim:
            return self._zygote.run(order).point
        if self._hints[aim] and self._chance.random() < _AIMED:
            call, nth = self._chance.choice(self._hints[aim])
        else:
            call, nth = self._chance.choice(_CALLS[aim][1]), self._chance.randint(1, 15)
        killed = self._zygote.run(order, call, nth)
        counts: Counter[str] = Counter()
        for number, (name, _) in enumerate(killed.calls, 1):
            counts[name] += 1
            self._hints[point_of(work, killed.calls[:number])].append((name, counts[name]))
        return killed.point

    def missing(self) -> int:
        """Acknowledged spans that a reader doesn't find."""
        stored = stored_keys(self.data)
        return sum(len(keys(number) - stored.keys()) for number in self.acked - self.dropped)


def kill_stores(
    kills: int, least: int, seed: int, tell: Callable[[str], None], points: tuple[str, ...] = POINTS
) -> Kills:
    """Kill until there were ``kills``, and at least ``least`` at each of these points."""
    done, chance = Kills(), random.Random(seed)
    hints: Hints = defaultdict(partial(deque, maxlen=60))
    with Zygote() as zygote:
        while done.points.total() < kills or any(done.points[point] < least for point in points):
            with tempfile.TemporaryDirectory(prefix="bench-kill-") as directory:
                store = _Store(Path(directory), zygote, chance, hints)
                for _ in range(_KILLS_A_STORE):
                    short = [point for point in points if done.points[point] < least]
                    _one(store, done, chance.choice(short or points))
                _finish(store, done.tally)
            tell(f"faults: {done.points.total()} kills: {', '.join(f'{n} {p}' for p, n in done.points.items())}")
    return done


def _one(store: _Store, done: Kills, aim: str) -> None:
    work = _CALLS[aim][0]
    if work != "commit" or not store.acked:
        store.commit()  # something to work on, and the next start after a kill
    point = getattr(store, work)(aim)
    if point is not None:
        done.points[point] += 1
        done.tally.missing += store.missing()


def _finish(store: _Store, tally: Tally) -> None:
    store.commit()  # everything is acknowledged now
    sent, acked = ledger_numbers(store.ledger)
    before = stored_keys(store.data)
    store.compact()
    if store.dropped:
        store.retain()
    after = stored_keys(store.data)
    tally.sent += len(set(sent)) * SPANS
    tally.acked += len(acked) * SPANS
    tally.stored += len(after)
    tally.missing += store.missing() + (len(set(sent)) - len(acked)) * SPANS
    tally.repeated_before += before.total() - len(before)
    tally.repeated_after += after.total() - len(after)
    known = {key for number in set(sent) - store.gone for key in keys(number)}
    tally.dropped += len({key for number in store.dropped & set(sent) for key in keys(number)} - after.keys())
    tally.unexpected += len(after.keys() - known)
    tally.repeated_inside += repeats_inside_hours(store.data)
    tally.add_report(store.data)
