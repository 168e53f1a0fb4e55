"""Two replicas and two compactors on one data directory, all killed at random, while a reader looks again and again.

Their clock runs an hour a second, so hours close under commits that are under way, and leases run out under merges.
"""

import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from bench.faults_child import keys, ledger_numbers
from bench.faults_points import Zygote
from bench.faults_rig import count
from bench.faults_tally import Tally, stored_keys

__all__ = ["race"]

_HURRY: Final = 3600
_ROUND_S: Final = (0.3, 1.5)
_SHARED: Final = 0.2
"""The share of requests that are sent to both replicas."""


class _Racer(threading.Thread):
    """Runs one kind of work again and again; every second time it is killed at some system call."""

    _start = threading.Barrier(4)

    def __init__(self, work: str, order: dict[str, object], seed: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self.kills = 0
        self.error: Exception | None = None
        self.rounds = 0
        self._work, self._order, self._seconds = work, order, seconds
        self._chance = random.Random(seed)
        self._seed = seed

    def run(self) -> None:
        """Until the time is up, once all are there."""
        try:
            with Zygote() as zygote:
                zygote.run({**self._order, "work": "idle"})
                self._start.wait()
                until = time.monotonic() + self._seconds
                while time.monotonic() < until:
                    self._round(zygote)
                    self.rounds += 1
        except Exception as error:  # noqa: BLE001 - told by the thread that waits for this one
            self.error = error

    def _round(self, zygote: Zygote) -> None:
        chance = self._chance
        until = time.time_ns() + int(chance.uniform(*_ROUND_S) * 1e9)
        first = chance.getrandbits(40)
        both = [chance.randrange(2_000) for _ in range(500)]
        numbers = [both[at] if chance.random() < _SHARED else (first << 10) + at for at in range(500)]
        order = {**self._order, "work": self._work, "until": until, "numbers": numbers}
        order["window_s"] = chance.choice((0.001, 86_400.0))
        call = chance.choice(("write", "fsync", "rename", "unlink", "mkdir", "")) if chance.random() < 0.5 else ""
        self.kills += zygote.run(order, call, chance.randint(1, 15)).point is not None


def race(seconds: float, seed: int) -> Tally:
    """Let them race and count; the row's `missing` adds up every look of the reader."""
    with tempfile.TemporaryDirectory(prefix="bench-race-") as name:
        data, ledger = Path(name) / "data", Path(name) / "ledger"
        order: dict[str, object] = {"data": str(data), "ledger": str(ledger), "start": time.time_ns(), "hurry": _HURRY}
        data.mkdir()
        works = ("race_commit", "race_commit", "race_compact", "race_compact")
        racers = [_Racer(work, order, seed * 10 + number, seconds) for number, work in enumerate(works)]
        for racer in racers:
            racer.start()
        looks = missing = 0
        while any(racer.is_alive() for racer in racers):
            promised = _spans(ledger_numbers(ledger)[1])  # before the look
            missing += len(promised - stored_keys(data).keys())
            looks += 1
            time.sleep(0.05)
        for racer in racers:
            if racer.error is not None:
                raise racer.error
        sent, acked = ledger_numbers(ledger)
        kills = sum(racer.kills for racer in racers)
        fault = f"2 replicas, 2 compactors, {kills} kills, {looks} looks"
        tally = count(fault, data, _spans(set(sent)), _spans(acked))
        tally.missing += missing
    return tally


def _spans(numbers: set[int]) -> set[tuple[str, str]]:
    return {key for number in numbers for key in keys(number)}
