"""Both doors before a real store, in this process; what a test sends comes from outside, over sockets."""

import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from otel_voicebot.app.joining import decode_together
from otel_voicebot.errors import UnreadableDataError
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.receivers.answers import Accepted, Answer, Refused, Signal
from otel_voicebot.receivers.grpc import GrpcReceiver
from otel_voicebot.receivers.http import HttpReceiver
from otel_voicebot.receivers.limits import Limits
from otel_voicebot.receivers.security import Security
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import decode, decode_logs
from otel_voicebot.store import SpanStore

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
TRACE_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS_EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"


class StoreIntake:
    """A small real intake: decode, prepare, one commit a request, answered at once."""

    def __init__(self, data: Path) -> None:
        self.metrics = SelfMetrics()
        self.store = SpanStore(data, metrics=self.metrics)
        self.offered: list[tuple[Signal, bytes]] = []
        self.rows: list[Any] = []
        self.reason: str | None = None
        self.ended: str | None = None
        self._lock = threading.Lock()

    def unready(self) -> str | None:
        """As the test says."""
        return self.reason

    def broken(self) -> str | None:
        """As the test says."""
        return self.ended

    def offer(self, signal: Signal, payload: bytes) -> Future[Answer]:
        """Take it, on the receiver's thread."""
        future: Future[Answer] = Future()
        future.set_result(self._take(signal, payload))
        return future

    def _take(self, signal: Signal, payload: bytes) -> Answer:
        joined: Any = decode_together(decode if signal == "traces" else decode_logs, [payload])
        (outcome,) = joined.outcomes
        if isinstance(outcome, UnreadableDataError):
            return Refused(str(outcome), None)
        with self._lock:
            self.offered.append((signal, payload))
            for batch in joined.batches if signal == "traces" else ():
                rows = prepare(batch, Policy(), self.metrics, "test", time.time_ns() // 1000)
                self.rows.append(rows)
                if rows.num_rows:
                    self.store.commit([rows])
        return Accepted(sum(outcome.values()), ", ".join(outcome))

    def span_names(self) -> list[str]:
        """Of all that was stored."""
        return [name for rows in self.rows for name in rows["name"].to_pylist()]


class Scripted:
    """An intake whose answers a test decides."""

    def __init__(self, answer: Callable[[], Future[Answer]]) -> None:
        self._answer = answer
        self.reason: str | None = None
        self.ended: str | None = None
        self.offered: list[bytes] = []

    def unready(self) -> str | None:
        """As the test says."""
        return self.reason

    def broken(self) -> str | None:
        """As the test says."""
        return self.ended

    def offer(self, signal: Signal, payload: bytes) -> Future[Answer]:  # noqa: ARG002 - the contract's
        """Answer as the test says."""
        self.offered.append(payload)
        return self._answer()


def known(answer: Answer) -> Future[Answer]:
    """A future that holds an answer."""
    future: Future[Answer] = Future()
    future.set_result(answer)
    return future


@dataclass
class Doors:
    """Both doors, started; ``with`` stops them."""

    intake: Any
    security: Security = field(default_factory=Security)
    limits: Limits = field(default_factory=Limits)
    metrics: SelfMetrics = field(default_factory=SelfMetrics)

    def __enter__(self) -> Self:
        common = (self.intake, "127.0.0.1:0", self.security, self.limits, self.metrics)
        self._grpc, self._http = GrpcReceiver(*common), HttpReceiver(*common)
        self.grpc_port, self.http_port = self._grpc.start(), self._http.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._grpc.stop(1)
        self._http.stop(1)


def certificates(directory: Path) -> dict[str, Path]:
    """A CA, a server's certificate for 127.0.0.1 and a client's; and a client's of another CA."""
    files = {}
    for authority in ("ca", "other"):
        key, cert = directory / f"{authority}.key", directory / f"{authority}.pem"
        openssl("req", "-x509", *_NEW_KEY, "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={authority}")
        files |= {authority: cert}
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        key, request, cert = (directory / f"{name}.{end}" for end in ("key", "csr", "pem"))
        extension = directory / f"{name}.ext"
        extension.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl("req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        signed_by = ("-CA", files[authority], "-CAkey", directory / f"{authority}.key", "-CAcreateserial")
        openssl("x509", "-req", "-in", request, *signed_by, "-days", "2", "-out", cert, "-extfile", extension)
        files |= {name: cert, f"{name}_key": key}
    return files


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*arguments: object) -> None:
    """Run the openssl command."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
