"""A real OpenTelemetry Collector: built once from ``deploy/otelcol-builder.yaml``, kept in the user's cache, and run.

``python -m bench.collector`` builds it where it isn't there yet (4 minutes on 2 cores) and prints where it is. Any
number of processes may ask at once: one builds, the others wait.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import yaml

__all__ = ["CONFIG", "REPLICAS_CONFIG", "Collector", "NoCollectorError", "binary", "free_address", "why_not"]

DEPLOY: Final = Path(__file__).parents[1] / "deploy"
CONFIG: Final = DEPLOY / "otel-collector.yaml"
REPLICAS_CONFIG: Final = DEPLOY / "otel-collector-replicas.yaml"

_MANIFEST: Final = DEPLOY / "otelcol-builder.yaml"
_BUILDER: Final = "go.opentelemetry.io/collector/cmd/builder@v0.159.0"
_START_S: Final = 60.0
_STOP_S: Final = 60.0
_TRIES: Final = 100


class NoCollectorError(Exception):
    """The Collector can't be built or doesn't start; the message says why."""


def why_not() -> str | None:
    """Why no Collector can be had here; None when one can."""
    return None if _path().exists() or shutil.which("go") else "Go is not installed, so no Collector can be built"


def binary() -> Path:
    """The Collector's program; builds it when this manifest has not been built yet.

    Raises:
        NoCollectorError: there is no Go, or the build failed; its last lines are in the message.
    """
    path = _path()
    if path.exists():
        return path
    if reason := why_not():
        raise NoCollectorError(reason)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the kernel when the holder dies
        if not path.exists():
            _build(path)
    return path


def _path() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    # what it says, not how: a comment is no reason to build again
    manifest = json.dumps([_BUILDER, yaml.safe_load(_MANIFEST.read_text())], sort_keys=True)
    return cache / "otel-voicebot" / f"otelcol-{hashlib.sha256(manifest.encode()).hexdigest()[:16]}"


def _build(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="build-") as directory:
        command = ["nice", "go", "run", _BUILDER, "--config", str(_MANIFEST)]
        log = Path(directory) / "log"
        with log.open("wb") as output:
            done = subprocess.run(command, cwd=directory, stdout=output, stderr=subprocess.STDOUT, check=False)
        built = Path(directory) / "out" / yaml.safe_load(_MANIFEST.read_text())["dist"]["name"]
        if done.returncode or not built.exists():
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise NoCollectorError(f"the Collector's build failed ({' '.join(command)}):\n{tail}")
        built.rename(path)


def free_address() -> str:
    """HOST:PORT on loopback that was free a moment ago.

    Drawn below the ports that the kernel gives to outgoing connections: nobody takes it by chance before it is used.
    """
    for _ in range(_TRIES):
        port = random.randint(10_240, 32_000)  # a port, not a secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    raise NoCollectorError("no free port below 32,000")


class Collector:
    """One Collector process with a configuration of ``deploy/``, on ports and in directories of its own.

    It can be killed and started again: ports and the queue stay.

    Args:
        directory: for its queue and its log.
        config: the configuration file.
        env: what the file's ``${env:NAME}`` stand for, beside ports and the queue's directory: where the service is.
        extra: further configurations laid over the first, as ``--config`` takes them.
    """

    def __init__(
        self, directory: Path, *, config: Path = CONFIG, env: Mapping[str, str], extra: Sequence[str] = ()
    ) -> None:
        self._program = binary()
        self.directory = directory
        self.log = directory / "collector.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._config = [f"--config={part}" for part in (str(config), *extra)]
        self._env = dict(env)
        self._draw_ports()

    def _draw_ports(self) -> None:
        self.grpc, self.http, self.health = free_address(), free_address(), free_address()
        self._inside = {f"COLLECTOR_REPLICA_{number}": free_address() for number in (1, 2)}

    @property
    def environment(self) -> dict[str, str]:
        """What the process is started with."""
        ours = {
            "COLLECTOR_GRPC": self.grpc,
            "COLLECTOR_HTTP": self.http,
            "COLLECTOR_HEALTH": self.health,
            "COLLECTOR_QUEUE": str(self.directory / "queue"),
        }
        return {**os.environ, **ours, **self._inside, **self._env}

    def check(self) -> str:
        """What ``validate`` of the real program says about the configuration; empty when it is accepted."""
        command = [str(self._program), "validate", *self._config]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stderr if done.returncode else ""

    def start(self) -> Self:
        """Start it and wait until it is healthy; ports that somebody took meanwhile are drawn again.

        Raises:
            NoCollectorError: it ended, or wasn't healthy within a minute.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            began = self.log.stat().st_size if self.log.exists() else 0
            with self.log.open("ab") as log:
                command = [str(self._program), *self._config]
                self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
            if self._healthy():
                return self
            self.kill()
            with self.log.open("rb") as log:
                log.seek(began)
                said = log.read().decode(errors="replace")
            if "address already in use" not in said:
                raise NoCollectorError(f"the Collector did not start:\n{said[-2000:]}")
            self._draw_ports()
        raise NoCollectorError("no free ports for the Collector")

    def _healthy(self) -> bool:
        assert self.process is not None
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            url = f"http://{self.health}/"
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        """SIGTERM, and wait: what is queued stays on disk."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=_STOP_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def said(self, text: str) -> Iterator[str]:
        """Lines of its log that hold a text."""
        return (line for line in self.log.read_text(errors="replace").splitlines() if text in line)


def components() -> dict[str, Any]:
    """The manifest, read."""
    manifest: dict[str, Any] = yaml.safe_load(_MANIFEST.read_text())
    return manifest


if __name__ == "__main__":
    try:
        print(binary())
    except NoCollectorError as error:
        sys.exit(str(error))
