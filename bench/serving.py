"""``otel-voicebot serve`` as a process of its own, which can be stopped, killed and started again on the same ports."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.collector import free_address
from bench.program import PROGRAM

__all__ = ["Server", "cpu_seconds", "resident_bytes", "wait_until"]

_START_S: Final = 120.0


class Server:
    """One service on one data directory.

    Args:
        data: its directory.
        program: Python code that runs the command line; another one may change what it runs on.
        env: settings, as environment variables.
        options: further words of the command line.
        grpc: HOST:PORT of the gRPC door, so that it may be known before the start; drawn when it is left out.
    """

    def __init__(
        self,
        data: Path,
        *,
        program: str = PROGRAM,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        grpc: str = "",
    ) -> None:
        self.data = data
        self.grpc, self.http, self.metrics = grpc or free_address(), free_address(), free_address()
        self.web = free_address()
        self.process: subprocess.Popen[str] | None = None
        self.log = data.parent / f"{data.name}-serve.log"
        self._program = program
        self._env = dict(env or {})
        self._options = list(options)

    def start(self) -> Self:
        """Start it and wait for its ready line.

        Raises:
            RuntimeError: it ended first; what it said is in the message.
        """
        self.launch()
        return self.wait_ready()

    def launch(self) -> None:
        """Start it without waiting."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        addresses = ["--grpc", self.grpc, "--http", self.http, "--metrics", self.metrics]
        addresses += ["--web", self.web]
        command = [sys.executable, "-c", self._program, "serve", "--data", str(self.data), *addresses, *self._options]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env={**inherited, **self._env}
            )

    def wait_ready(self) -> Self:
        """Wait for the ready line; RuntimeError as ``start``."""
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait(timeout=_START_S)
            raise RuntimeError(f"serve ended with {code}:\n{self.log.read_text()[-3000:]}")
        ready = json.loads(line)
        if not ready.get("ready"):
            raise RuntimeError(f"serve is not ready: {line}")
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def scrape(self) -> str:
        """What Prometheus would get."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM, and wait: it drains. Its exit code."""
        return self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> int:
        """SIGKILL, and wait."""
        return self._end(signal.SIGKILL, 60.0)

    def _end(self, number: signal.Signals, timeout_s: float) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=timeout_s)
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
        return code

    def cpu_seconds(self) -> float:
        """CPU time of the process so far."""
        return cpu_seconds(self.pid)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int, field: str = "VmRSS") -> int:
    """Resident memory now, or at its peak (``VmHWM``)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0, every_s: float = 0.05) -> None:
    """Poll until a callable is true.

    Raises:
        TimeoutError: it never was.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain")
        time.sleep(every_s)
