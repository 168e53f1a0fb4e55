"""A process that does what a store's writer, compactor or retention does, so that another one can kill it.

``python -m bench.faults_child`` imports everything once and then forks a child for each line of JSON on standard input,
so that a thousand kills don't cost a thousand starts. A child waits until it is let go: a tracer needs time to attach.

    {"work": "commit", "data": DIR, "ledger": FILE, "now": UNIX_NANO, "numbers": [...]}   -> {"pid": PID}
    {"go": true}                                                                          -> {"status": WAIT_STATUS}

A number stands for one request of ``SPANS`` spans. In the ledger ``s NUMBER`` says that it was sent, ``a NUMBER`` that
it was acknowledged. The ledger is written with writev, everything of the store with write: a tracer tells them apart.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from bench import generate, wire
from otel_voicebot import semconv as s
from otel_voicebot.errors import LeaseError
from otel_voicebot.spans import decode
from otel_voicebot.store import SpanStore, compact, lease, retain
from otel_voicebot.store.window import Window

__all__ = ["SPANS", "keys", "rows_of"]

SPANS: Final = 20


@cache
def _pattern() -> pa.RecordBatch:
    call = next(generate.calls(1, seed=5))
    spans = [wire.span(row) for row in call.spans[-SPANS:]]
    batch = decode(wire.request([(call.resource, s.SCOPE_NAME, spans)])).rows(generate.EPOCH // 1000)
    return batch.slice(0, SPANS)


def _trace(number: int) -> bytes:
    return hashlib.blake2b(b"trace %d" % number, digest_size=16).digest()


def rows_of(number: int, now: int) -> pa.RecordBatch:
    """The spans of one request: the same call again, with a trace and a session of its own."""
    rows, trace = _pattern(), _trace(number)
    for name, value in (
        ("trace_id", pa.array([trace] * SPANS, rows.schema.field("trace_id").type)),
        ("session_id", pa.array([trace.hex()] * SPANS)),
        ("ingest_time", pa.array([now // 1000] * SPANS, rows.schema.field("ingest_time").type)),
    ):
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), value)
    return rows


@cache
def keys(number: int) -> frozenset[tuple[str, str]]:
    """(trace id, span id) of the spans of a request, in hex."""
    trace = _trace(number).hex()
    return frozenset((trace, span.hex()) for span in _pattern().column("span_id").to_pylist())


def _commit(order: dict[str, Any]) -> None:
    """Commit the numbers one after the other, each acknowledged when it is durable."""
    data, now = Path(order["data"]), int(order["now"])
    ledger = os.open(order["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    store = SpanStore(data, clock=lambda: now)
    window = Window(order["window_s"], 1_000_000)
    window.rebuild(data)
    for number in order["numbers"]:
        os.writev(ledger, [b"s %d\n" % number])
        rows = rows_of(number, now)
        fresh = rows.filter(pa.array(~window.repeated(rows)))
        if fresh.num_rows:
            store.commit([fresh])
            window.add(fresh)
        os.writev(ledger, [b"a %d\n" % number])


def _compact(order: dict[str, Any]) -> None:
    """Merge every hour that is over."""
    data, now = Path(order["data"]), int(order["now"])
    with lease.take(data, clock=lambda: now) as held:
        _, failed = compact.compact(held, compact.closed_hours(data, now))
    if failed:
        raise failed[0].error


def _retain(order: dict[str, Any]) -> None:
    """Drop every hour before the horizon."""
    now = int(order["now"])
    with lease.take(Path(order["data"]), clock=lambda: now) as held:
        retain.retain(held, int(order["horizon"]), now)


def _idle(_order: dict[str, Any]) -> None:
    """Do nothing: whoever gets an answer knows that everything is imported."""


def _fast_clock(order: dict[str, Any]) -> Callable[[], int]:
    """An hour a second, from the same moment in every process: hours close while commits are under way."""
    start, hurry = int(order["start"]), int(order["hurry"])
    return lambda: generate.EPOCH + (time.time_ns() - start) * hurry


def _race_commit(order: dict[str, Any]) -> None:
    """Commit until the time is up: a replica of several. Each number may be another replica's, too."""
    data, clock = Path(order["data"]), _fast_clock(order)
    ledger = os.open(order["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    store, window = SpanStore(data, clock=clock), Window(order["window_s"], 1_000_000)
    window.rebuild(data)
    for number in order["numbers"]:
        if time.time_ns() > order["until"]:
            return
        os.writev(ledger, [b"s %d\n" % number])
        rows = rows_of(number, clock())
        fresh = rows.filter(pa.array(~window.repeated(rows)))
        if fresh.num_rows:
            store.commit([fresh])
            window.add(fresh)
        os.writev(ledger, [b"a %d\n" % number])


def _race_compact(order: dict[str, Any]) -> None:
    """Merge what is over until the time is up, one of several maintainers; a lost or taken lease is tried for again."""
    data, clock = Path(order["data"]), _fast_clock(order)
    while time.time_ns() < order["until"]:
        with contextlib.suppress(LeaseError), lease.take(data, clock=clock) as held:
            _, failed = compact.compact(held, compact.closed_hours(data, clock()))
            if failed:
                raise failed[0].error
        time.sleep(0.01)


WORKS: Final[dict[str, Callable[[dict[str, Any]], None]]] = {
    "commit": _commit,
    "compact": _compact,
    "retain": _retain,
    "idle": _idle,
    "race_commit": _race_commit,
    "race_compact": _race_compact,
}


def _child(order: dict[str, Any], gate: int) -> None:
    status = 1
    try:
        os.read(gate, 1)
        WORKS[order["work"]](order)
        status = 0
    except BaseException:  # noqa: BLE001 - the child of a fork must not return to its parent's loop
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Serve orders until standard input ends."""
    _pattern()  # before any fork, so that no child computes it

    def answer(**what: object) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()

    pid, gate = 0, -1
    for line in sys.stdin:
        order = json.loads(line)
        if "go" not in order:
            source, gate = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(gate)
                _child(order, source)
            os.close(source)
            answer(pid=pid)
            continue
        os.write(gate, b"\n")
        os.close(gate)
        answer(status=os.waitpid(pid, 0)[1])


def ledger_numbers(ledger: Path) -> tuple[Sequence[int], set[int]]:
    """Numbers sent, in order, and those acknowledged."""
    lines = [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []
    return [int(number) for kind, number in lines if kind == "s"], {
        int(number) for kind, number in lines if kind == "a"
    }


if __name__ == "__main__":
    main()
