"""A real ``otel-voicebot serve`` in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from prometheus_client.parser import text_string_to_metric_families

from bench import wire
from bench.program import PROGRAM
from tests.live.doors import sdk_span

WAIT_S = 60.0


class Served:
    """A running service; the ready line is in ``where``. Killed when the block is left.

    What it wrote after that is in ``log`` once it was stopped.
    """

    def __init__(self, data: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        doors = [word for door in _DOORS if door not in options for word in (door, _ANY)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "serve", "--data", str(data), *doors, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            self.failed = self.process.stderr.read()
            raise AssertionError(f"exit code {self.process.wait()}: {self.failed}")
        self.where: dict[str, Any] = json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.communicate()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code after a signal."""
        self.process.send_signal(number)
        self.log = "".join(self.process.communicate(timeout=WAIT_S))
        return self.process.returncode

    def get(self, path: str, door: str = "http") -> str:
        """A page."""
        with urllib.request.urlopen(f"http://{self.where[door]}{path}", timeout=10) as page:
            text: str = page.read().decode()
            return text

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All samples of our metrics, without the times of creation."""
        found = {}
        for family in text_string_to_metric_families(self.get("/metrics", "metrics")):
            for sample in family.samples:
                if re.match("voicebot_|orchestrator_", sample.name) and not sample.name.endswith("_created"):
                    found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
        return found

    def total(self, name: str) -> float:
        """A counter over all its labels."""
        return sum(value for (found, _), value in self.metrics().items() if found == name)

    def export(self, spans: Sequence[wire.Span]) -> None:
        """Send spans as a bot does, with the exporter of OpenTelemetry."""
        exporter = OTLPSpanExporter(endpoint=self.where["grpc"], insecure=True)
        try:
            assert exporter.export([sdk_span(span) for span in spans]) is SpanExportResult.SUCCESS
        finally:
            exporter.shutdown()


_ANY = "127.0.0.1:0"
_DOORS = ("--grpc", "--http", "--metrics", "--web")


def until(true: Callable[[], bool]) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)
