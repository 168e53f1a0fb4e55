"""SIGKILL at a chosen system call of another process: strace attaches, and the call is not carried out.

No hook in the code that is killed. Which point it was is read from the trace: the last call that was entered.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

__all__ = ["CALLS", "POINTS", "Zygote", "calls_in", "kill_at", "point_of", "why_not"]

CALLS: Final = ("write", "fsync", "rename", "unlink", "rmdir", "mkdir", "writev")
"""Whatever changes the store, and the ledger's writev."""

POINTS: Final = (
    "before write",
    "before fsync",
    "before rename",
    "after rename",
    "before ack",
    "compaction, before publish",
    "compaction, after publish",
    "retention",
)
"""Each is hit by name; what else the seed hits (marks, directories, the lease) is told as `elsewhere`."""

_LINE: Final = re.compile(r"^\d+ +(\w+)\((.*)$")


@dataclass(frozen=True)
class Killed:
    """How a run ended: at which named point, or None when it came to its end unkilled."""

    point: str | None
    calls: list[tuple[str, str]]
    """Every call that changed something, with its arguments, in order; empty when nothing was traced."""


@cache
def why_not() -> str | None:
    """Why no other process can be traced here; None when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    with subprocess.Popen(["sleep", "60"]) as probe:  # attached to, as the real ones are: that may be forbidden alone
        command = ["strace", "-f", "-p", str(probe.pid), "-o", "/dev/null"]
        try:
            with tracing([*command, "-e", "trace=fsync", "-e", "inject=fsync:retval=0"]):
                return None
        except RuntimeError as error:
            return f"strace can't trace here: {error}"
        finally:
            probe.kill()


@contextmanager
def kill_at(pid: int, call: str, nth: int, log: Path) -> Iterator[None]:
    """Within the block ``pid`` is traced, and killed as one of its threads enters its ``nth`` such call.

    Raises:
        RuntimeError: strace did not attach.
    """
    command = ["strace", "-f", "-y", "-s", "0", "-p", str(pid), "-o", str(log)]
    command += ["-e", f"trace={','.join(CALLS)}", "-e", "signal=none", "-e", f"inject={call}:signal=SIGKILL:when={nth}"]
    with tracing(command):
        yield


@contextmanager
def tracing(command: list[str]) -> Iterator[None]:
    """Run strace with ``-p`` and wait until it has attached; at the block's end it detaches."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if "attached" not in said:
            tracer.kill()
            raise RuntimeError(f"strace did not attach: {said}{tracer.stderr.read()}")
        try:
            yield
        finally:
            tracer.terminate()  # where it still runs: it ends with the last thread that it traced


def calls_in(trace: str) -> list[tuple[str, str]]:
    """Each call of a trace with its arguments, in order."""
    found = (_LINE.match(line) for line in trace.splitlines())
    return [(match[1], match[2]) for match in found if match]


def _target(arguments: str) -> list[str]:
    """Where a rename that was carried out leads to."""
    return re.findall(r'"([^"]*)"', arguments)[1:]


def point_of(work: str, calls: Sequence[tuple[str, str]]) -> str:
    """The named point at which the last of these calls stands."""
    call, arguments = calls[-1]
    if work == "retain":
        return "retention"
    if work == "compact":
        published = any(
            "/history/" in target for name, said in calls[:-1] if name == "rename" for target in _target(said)
        )
        return f"compaction, {'after' if published else 'before'} publish"
    renamed = any(name == "rename" and "/hot/" in said for name, said in calls[:-1])
    named = {
        "before ack": call == "writev",
        "before write": call == "write" and ".tmp" in arguments,
        "before fsync": call == "fsync" and ".tmp" in arguments,
        "before rename": call == "rename" and "/hot/" in arguments,
        "after rename": call == "fsync" and "/hot/" in arguments and renamed,
    }
    return next((point for point, here in named.items() if here), "elsewhere")


class Zygote:
    """The process that forks the children that are killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.faults_child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._logs = tempfile.TemporaryDirectory(prefix="bench-strace-")
        self.log = Path(self._logs.name) / "trace"

    def run(self, order: Mapping[str, Any], call: str = "", nth: int = 0) -> Killed:
        """Do a work, and kill it as it enters its ``nth`` ``call``; without one it comes to its end.

        Raises:
            RuntimeError: it failed by itself.
        """
        pid = self._ask(**order)["pid"]
        if not call:
            status = self._ask(go=True)["status"]
            trace = ""
        else:
            with kill_at(pid, call, nth, self.log):
                status = self._ask(go=True)["status"]
            trace = self.log.read_text(errors="replace")
        if status not in (0, signal.SIGKILL):
            raise RuntimeError(f"{order['work']} ended with wait status {status}")
        calls = calls_in(trace)
        return Killed(point_of(str(order["work"]), calls) if status else None, calls)

    def _ask(self, **what: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._logs.cleanup()
