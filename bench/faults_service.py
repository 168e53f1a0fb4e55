"""Faults of the whole chain: senders, a real Collector, the service. Each gives one row of the table."""

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import faults_points
from bench.faults_points import calls_in, kill_at, point_of, tracing
from bench.faults_rig import Rig
from bench.faults_tally import Tally

__all__ = ["FAULTS", "Length", "kill_service"]


@dataclass(frozen=True)
class Length:
    """How long the faults take: the full bench, and a short form for tests and a first look."""

    down_s: float = 60.0
    stopped_s: float = 10.0
    slow_s: float = 12.0
    fsync_s: float = 2.0
    full_s: float = 6.0
    terms: int = 5
    pause_s: float = 0.05


def _terminated(rig: Rig, length: Length) -> None:
    """SIGTERM under load, again and again: what was taken is answered, the rest is sent again."""
    for _ in range(length.terms):
        time.sleep(rig.chance.uniform(0.2, 1.0))
        code = rig.server.stop()
        if code:
            raise RuntimeError(f"serve ended with {code} after SIGTERM")
        rig.server.start()
        rig.over()
        rig.wait_for_acks()


def _down(rig: Rig, length: Length) -> None:
    """The service is killed and stays away; the Collector queues."""
    rig.server.kill()
    time.sleep(length.down_s)
    rig.server.start()
    rig.over()
    rig.wait_for_acks()


def _stopped(rig: Rig, length: Length) -> None:
    """SIGSTOP, and SIGCONT."""
    os.kill(rig.server.pid, signal.SIGSTOP)
    time.sleep(length.stopped_s)
    os.kill(rig.server.pid, signal.SIGCONT)
    rig.over()
    rig.wait_for_acks()


def _slow_disk(rig: Rig, length: Length) -> None:
    """Every fsync takes seconds."""
    microseconds = int(length.fsync_s * 1e6)
    command = ["strace", "-f", "-p", str(rig.server.pid), "-o", "/dev/null"]
    command += ["-e", "trace=fsync", "-e", f"inject=fsync:delay_enter={microseconds}"]
    with tracing(command):
        time.sleep(length.slow_s)
    rig.over()
    rig.wait_for_acks()


def _collector_killed(rig: Rig, length: Length) -> None:
    """The service is away, so the Collector's queue on disk fills; then the Collector is killed too, twice."""
    rig.server.kill()
    for _ in range(2):
        time.sleep(min(length.down_s, 4.0))
        rig.collector.kill()
        rig.collector.start()
    rig.server.start()
    rig.over()
    rig.wait_for_acks()


def _repeated(rig: Rig, _length: Length) -> None:
    """Every second request is sent twice (the rig does it), over a restart of the service too."""
    time.sleep(1.0)
    rig.server.kill()
    rig.server.start()
    rig.over()
    rig.wait_for_acks()
    time.sleep(1.0)


def _disk_full(rig: Rig, length: Length) -> None:
    """Something else fills the file system to the last byte, and is removed again."""
    ballast = rig.server.data / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass
    time.sleep(length.full_s)
    ballast.unlink()
    rig.over()
    rig.wait_for_acks()


@dataclass(frozen=True)
class Fault:
    """A row of the table: what it is called, what is done, and what it needs."""

    name: str
    do: Callable[[Rig, Length], None]
    repeat: int = 0
    small_disk: bool = False
    traced: bool = False

    def why_not(self) -> str | None:
        """Why it can't be done here; None when it can."""
        if self.traced:
            return faults_points.why_not()
        if self.small_disk and os.geteuid() != 0:
            return "a small tmpfs needs root"
        return None

    def run(self, seed: int, length: Length) -> Tally:
        """Do it under load, let it come to rest, count."""
        with tempfile.TemporaryDirectory(prefix="bench-fault-") as name:
            directory = Path(name)
            with _small_disk(directory / "disk") if self.small_disk else contextlib.nullcontext() as disk:
                data = disk / "data" if disk else None
                env = {"OTEL_VOICEBOT_MIN_FREE_DISK": "8MB"} if disk else None
                options = {"data": data, "env": env, "pause_s": length.pause_s, "repeat": self.repeat}
                with Rig(directory, seed, **options) as rig:  # type: ignore[arg-type]
                    time.sleep(1.0)
                    self.do(rig, length)
                    return rig.settle(self.name)


@contextlib.contextmanager
def _small_disk(directory: Path) -> Iterator[Path]:
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


FAULTS: Final = {
    "terminated": Fault("SIGTERM under load", _terminated),
    "full": Fault("disk full (tmpfs), then space again", _disk_full, small_disk=True),
    "slow": Fault("every fsync takes 2 s", _slow_disk, traced=True),
    "stopped": Fault("SIGSTOP 10 s", _stopped),
    "down": Fault("service down 60 s, Collector queues", _down),
    "collector": Fault("service down, Collector killed twice", _collector_killed),
    "repeated": Fault("every second request sent twice", _repeated, repeat=2),
}

_KILL_CALLS: Final = ("write", "fsync", "rename")
_PATIENCE_S: Final = 8.0


def kill_service(kills: int, seed: int, tell: Callable[[str], None]) -> tuple[Tally, Counter[str]]:
    """SIGKILL of the service at a seeded system call, under load, again and again; the row and the points hit."""
    points: Counter[str] = Counter()
    recovery: list[float] = []
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="bench-fault-") as name, Rig(Path(name), seed) as rig:
        for number in range(kills):
            points[_kill_once(rig, Path(name) / "trace", chance)] += 1
            rig.server.start()
            rig.over()
            rig.wait_for_acks()
            assert rig.fault_over is not None
            recovery.append(rig.direct.recovery_s(rig.fault_over))
            if number % 10 == 9:
                tell(f"faults: service killed {number + 1} times")
        tally = rig.settle(f"SIGKILL of the service, {kills} times")
    tally.recovery_s = max(recovery)
    return tally, points


def _kill_once(rig: Rig, log: Path, chance: random.Random) -> str:
    with kill_at(rig.server.pid, chance.choice(_KILL_CALLS), chance.randint(1, 12), log):
        assert rig.server.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            rig.server.process.wait(_PATIENCE_S)
    aimed = rig.server.process.poll() is not None
    rig.server.kill()
    calls = calls_in(log.read_text(errors="replace"))
    return point_of("commit", calls) if aimed and calls else "elsewhere"
