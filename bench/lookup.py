"""A trace by its id, over the web port of a service, in a large store."""

import http.client
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.child import child
from bench.figures import Figure, Section
from bench.serving import Server, resident_bytes

__all__ = ["measure", "run"]

_SPANS: Final = 100_000_000
_ASKED: Final = 200
_TIMEOUT_S: Final = 3600


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Make a store and ask; about 10 minutes and 5 GB (quick: 1 minute, 2 M spans)."""
    spans = 2_000_000 if quick else _SPANS
    with tempfile.TemporaryDirectory(prefix="bench-lookup-") as directory:
        tell(f"lookup: a store of {spans:,} spans is made")
        made = child("lookup_child", "fill", spans, Path(directory) / "data", timeout_s=_TIMEOUT_S)
        return measure(Path(directory) / "data", made, tell)


def measure(data: Path, made: dict[str, Any], tell: Callable[[str], None]) -> Section:
    """Ask a service over a store that ``lookup_child fill`` has made, and told about."""
    tell("lookup: what the note costs")
    cost = child("lookup_child", "cost")
    random = np.random.default_rng(1)
    history, hot = (random.permutation(made["ids"][tier]).tolist() for tier in ("history", "hot"))
    unknown = [random.bytes(16).hex() for _ in range(_ASKED)]
    tell("lookup: the service starts")
    with Server(data) as service:
        before = resident_bytes(service.pid) / 1e6
        first = _asked(service.web, history[:1], 200)
        asked = {"history": _asked(service.web, history[1:_ASKED], 200)}
        asked["hot"] = _asked(service.web, hot[:_ASKED], 200)
        asked["unknown"] = _asked(service.web, unknown, 404)
        _forget(data)
        asked["history, files not in memory"] = _asked(service.web, history[_ASKED : _ASKED + 100], 200)
        grown = resident_bytes(service.pid) / 1e6 - before
    rows: list[list[str | float]] = [["the first, index cold", 1, first[0], first[0], first[0]]]
    for name, times in asked.items():
        rows.append([name, len(times), *(float(np.percentile(times, share)) for share in (50, 95, 100))])
    mixed = [*asked["history"], *asked["hot"]]
    figures = [
        Figure("trace by id, p95", float(np.percentile(mixed, 95)), "ms", "<", 300),
        Figure("the note, of ingest's CPU", cost["note_us"] / cost["ingest_us"] * 100, "%", "<=", 2),
        Figure("the note, of a hot file of 8,192 spans", cost["note_bytes"] / cost["file_bytes"] * 100, "%"),
        Figure("the note, bytes a span of history", made["note_bytes_a_span"], "B"),
        Figure("memory of the service, more than before", grown, "MB"),
    ]
    title = (
        f"Trace by id over HTTP in {made['spans']:,} spans, {made['files']:,} files, {made['bytes'] / 1e9:.1f} GB (ms)"
    )
    return Section("lookup", title, ["asked for", "times", "p50", "p95", "worst"], rows, figures)


def _asked(where: str, ids: Sequence[str], status: int) -> list[float]:
    """Milliseconds of each request, one after the other on one connection, until the answer is parsed."""
    connection = http.client.HTTPConnection(where, timeout=120)
    times = []
    for trace in ids:
        began = time.perf_counter()
        connection.request("GET", f"/api/traces/{trace}")
        answer = connection.getresponse()
        document = json.load(answer)
        times.append((time.perf_counter() - began) * 1e3)
        if answer.status != status or (status == 200 and document["data"][0]["traceID"] != trace):
            msg = f"{trace}: {answer.status} {str(document)[:200]}"
            raise RuntimeError(msg)
    connection.close()
    return times


def _forget(data: Path) -> None:
    """Tell the kernel that no page of these files is needed."""
    for path in data.rglob("*.parquet"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
