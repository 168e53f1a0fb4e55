"""``otel-voicebot serve``."""

import gc
import json
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.options import Data, Question

__all__ = ["serve"]

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
"""Of glibc's malloc.h."""
_MEGABYTE: Final = 1 << 20


def serve(
    *,
    data: Data = None,
    grpc: Annotated[
        str | None,
        typer.Option(
            "--grpc",
            metavar="HOST:PORT",
            help="Where OTLP over gRPC is taken. Default: 127.0.0.1:4317; port 0 picks one, none is off.",
            show_default=False,
        ),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(
            "--http",
            metavar="HOST:PORT",
            help="Where OTLP over HTTP is taken, and /healthz, /readyz answer. Default: 127.0.0.1:4318.",
            show_default=False,
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="HOST:PORT",
            help="Where Prometheus scrapes /metrics; /healthz, /readyz answer there without TLS. "
            "Default: 127.0.0.1:8000.",
            show_default=False,
        ),
    ] = None,
    web: Annotated[
        str | None,
        typer.Option(
            "--web",
            metavar="HOST:PORT",
            help="Where Jaeger's query API is answered, and scores are taken. Default: 127.0.0.1:8080.",
            show_default=False,
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM): senders and askers must use TLS."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key (PEM).")] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option("--tls-client-ca", metavar="FILE", help="Senders need a certificate that one of these signed."),
    ] = None,
    bearer_token_file: Annotated[
        Path | None,
        typer.Option(
            "--bearer-token-file",
            metavar="FILE",
            help="Senders and askers must say the token in this file. Also: $OTEL_VOICEBOT_BEARER_TOKEN.",
        ),
    ] = None,
    retention: Annotated[
        str | None, typer.Option("--retention", metavar="TIME", help="Remove what is older, such as 90d.")
    ] = None,
    disk_cap: Annotated[
        str | None, typer.Option("--disk-cap", metavar="SIZE", help="Remove the oldest beyond, such as 50GB.")
    ] = None,
    logs_endpoint: Annotated[
        str | None, typer.Option("--logs-endpoint", metavar="URL", help="Send logs on to there over OTLP, too.")
    ] = None,
    capture_content: Annotated[bool, typer.Option("--capture-content", help="Store what was said, too.")] = False,
) -> int:
    """Take spans and logs over OTLP, from bots or from a Collector, and serve metrics.

    A request is acknowledged when it is on disk, fsynced. One line of JSON on stdout says when everything is ready and
    on which ports; SIGTERM or Ctrl-C ends it: what was taken is answered first. All settings, also those without an
    option here, are environment variables OTEL_VOICEBOT_*.
    """
    given: dict[str, Any] = {
        "grpc_addr": grpc,
        "http_addr": http,
        "metrics_addr": metrics,
        "web_addr": web,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "tls_client_ca": tls_client_ca,
        "bearer_token": _token(bearer_token_file),
        "retention": retention,
        "disk_cap": disk_cap,
        "logs_endpoint": logs_endpoint,
        "capture_content": capture_content or None,
    }
    settings = Question(data).settings(**{name: value for name, value in given.items() if value is not None})
    # Blocked in every thread that is started from here on, and waited for in this one: a handler runs in the main
    # thread only, and a signal that the kernel gives to another one would not wake it. Before NumPy is imported, whose
    # threads would take the signal, and the process would end with it.
    stops = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    _share_memory()
    _without_pandas()
    from otel_voicebot.app.service import Service  # noqa: PLC0415 - not for --help
    from otel_voicebot.web import WebServer  # noqa: PLC0415 - the same

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        service = Service(settings, WebServer)
        service.start()
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # or what the caller starts next can't be stopped
        raise
    _collect_rarely()
    try:
        where = service.addresses
        line = {"ready": True, "grpc": where.grpc, "http": where.http, "metrics": where.metrics, "web": where.web}
        out.write(json.dumps({**line, "data": str(settings.data)}) + "\n", None)
        signal.sigwait(stops)
        out.note("stopping: what was taken is answered first")
    finally:
        in_time = service.stop(settings.shutdown_timeout)
        gc.unfreeze()  # or the engine's library counts what is frozen as leaked, and says so
    if not in_time:
        out.note(f"stopped after {settings.shutdown_timeout:g} s; what was not answered will be sent again")
        sys.stderr.flush()
        os._exit(0)  # a thread that is still inside the query engine would abort an orderly exit
    return 0


def _collect_rarely() -> None:
    """What is loaded now stays, little of the rest is in cycles: looking through all of it cost a tenth of the load."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _share_memory() -> None:
    """Let all threads and Arrow take memory from the same place of glibc: a fifth less stays resident.

    Before NumPy and Arrow are imported: their threads would have places of their own, and Arrow its own allocator.
    """
    import ctypes  # noqa: PLC0415 - not for --help

    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 1)
        # Columns of a megabyte come and go all the time: not from the kernel and back to it each time.
        mallopt(_M_MMAP_THRESHOLD, 32 * _MEGABYTE)
        mallopt(_M_TRIM_THRESHOLD, 64 * _MEGABYTE)
    # pa.set_memory_pool() doesn't reach what reads and writes Parquet
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"


class _NoPandas:
    """Makes ``import pandas`` fail, while pyarrow looks for it."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ImportError(name)


def _without_pandas() -> None:
    """Make pyarrow, which loads pandas with its first array, do without: 35 MB of which a service uses nothing."""
    if "pandas" in sys.modules:
        return
    import pyarrow as pa  # noqa: PLC0415 - not for --help

    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([0])  # it looks for pandas once
    finally:
        sys.meta_path.remove(_NoPandas)


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    from otel_voicebot.errors import UsageError  # noqa: PLC0415

    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--bearer-token-file {file} can't be read: {error}") from None
