"""From a request's bytes to its answer: read together, committed together, answered when it is on disk.

Two threads: one reads all requests that wait, one commits all rows that wait. Each takes what has gathered while it was
busy, and reads at most every quarter of a second unless waiting gains nothing (``pace``): a reading costs 10 ms however
little is read. A request that comes after a quiet moment waits for nobody.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from otel_voicebot import semconv
from otel_voicebot.app.admission import Admission
from otel_voicebot.app.joining import DAMAGED, decode_together
from otel_voicebot.app.pace import Pace
from otel_voicebot.errors import CannotStartError, UnreadableDataError
from otel_voicebot.receivers.answers import Accepted, Answer, Refused, Signal
from otel_voicebot.selfmetrics import SelfMetrics

__all__ = ["Intake", "Keys", "Queued", "SignalPath"]

_READ_BYTES: Final = 8 << 20
"""Payload bytes that are read at once: some 20,000 spans, after which reading more at once saves nothing."""
_COMMIT_ROWS: Final = 200_000
"""Rows that go into one file."""
_FAILED_RETRY_S: Final = 5.0
_DISK_RETRY_S: Final = 2.0
_PROBE_S: Final = 1.0


class Keys(Protocol):
    """What is known to be on disk: the dedupe window. For the commit thread."""

    def repeated(self, rows: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which rows are on disk already, or come earlier among these."""
        ...

    def add(self, rows: pa.RecordBatch) -> None:
        """These rows are on disk now."""


@dataclass(frozen=True, slots=True)
class SignalPath:
    """How one signal is read, kept and passed on."""

    decode: Callable[[bytes], Any]
    """OTLP bytes to a batch; raises UnreadableDataError."""
    prepare: Callable[[Any], pa.RecordBatch]
    """A batch to rows. May raise anything: the sender is asked to come again."""
    commit: Callable[[pa.RecordBatch], pa.RecordBatch]
    """Puts rows on disk for good; gives those that are kept (of whom was erased none is); raises CannotStartError while
    the disk refuses."""
    passed_on: Callable[[pa.RecordBatch], None]
    """Takes rows that are on disk, each once. Must not block or raise."""
    keys: Keys | None = None
    """Finds repeated rows; None keeps all."""
    sent_on: Callable[[bytes, int], None] | None = None
    """Takes each request's bytes and number of rows, once these are on disk. Must not block or raise."""


@dataclass(slots=True)
class Queued:
    """A request on its way."""

    signal: Signal
    payload: bytes
    size: int
    answer: Future[Answer] = field(default_factory=Future)
    accepted: Accepted = field(default_factory=Accepted)


@dataclass(slots=True)
class _Read:
    """Requests that were read together."""

    signal: Signal
    rows: list[pa.RecordBatch]
    requests: list[Queued]
    size: int


class Intake:
    """See ``receivers.answers.Intake``.

    Args:
        paths: what is done with each signal.
        admission: bounds; closed until the service opens it.
        metrics: counts answers, repeats and failures.
        probe: tries the disk while it refuses; raises CannotStartError or OSError.
        others: which thread of the service, beside its own, has ended; None while all live.
    """

    def __init__(
        self,
        paths: dict[Signal, SignalPath],
        admission: Admission,
        metrics: SelfMetrics,
        probe: Callable[[], None] = lambda: None,
        others: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._paths = paths
        self._admission = admission
        self._metrics = metrics
        self._probe = probe
        self._others = others
        self._changed = threading.Condition()
        self._pace = Pace()
        self._offered: deque[Queued] = deque()
        self._read: deque[_Read] = deque()
        self._reading = self._committing = False
        self._stopping = False
        self._refused = False
        self._threads = [
            threading.Thread(target=self._run_reader, name="otel-voicebot-read", daemon=True),
            threading.Thread(target=self._run_committer, name="otel-voicebot-commit", daemon=True),
        ]

    # ---- the receivers' threads ---------------------------------------------------------------------------------

    def offer(self, signal: Signal, payload: bytes) -> Future[Answer]:
        """Take a request. Never raises, and doesn't wait."""
        request = Queued(signal, payload, len(payload))
        refusal = self._admission.enter(request.size)
        if refusal is not None:
            self._answer(request, refusal, "turned_away", held=False)
            return request.answer
        with self._changed:
            if self._stopping:
                refusal = Refused("shutting down", 1.0)
            else:
                self._offered.append(request)
                self._pace.came()
                self._changed.notify_all()
        if refusal is not None:
            self._answer(request, refusal, "turned_away")
        return request.answer

    def unready(self) -> str | None:
        """Why nothing can be taken now; None when ready."""
        return self.broken() or self._admission.unready()

    def broken(self) -> str | None:
        """Which thread has ended, though nobody told it to; None while all live. Never blocks."""
        if self._stopping:
            return None
        ended = (thread.name for thread in self._threads if thread.ident is not None and not thread.is_alive())
        name = next(ended, None) or self._others()
        return None if name is None else f"a thread has ended: {name}"

    # ---- the service --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Answer all that was taken, within so many seconds, and end. False when it took longer.

        Call ``Admission.close`` first. Requests that are left are answered with a refusal.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(deadline - time.monotonic(), 0.0))
        with self._changed:
            left = [*self._offered, *(request for read in self._read for request in read.requests)]
            self._offered.clear()
            self._read.clear()
        for request in left:
            self._answer(request, Refused("shutting down", 1.0), "turned_away")
        return not any(thread.is_alive() for thread in self._threads)

    # ---- reading ------------------------------------------------------------------------------------------------

    def _run_reader(self) -> None:
        while taken := self._take_offered():
            for signal in self._paths:
                requests = [request for request in taken if request.signal == signal]
                # What is sent on is counted request by request, so it is read so.
                single = self._paths[signal].sent_on is not None
                for some in [[one] for one in requests] if single else [requests]:
                    if some:
                        self._read_some(signal, some)
            with self._changed:
                self._reading = False
                self._changed.notify_all()

    def _take_offered(self) -> list[Queued]:
        """What waits, up to a bound; nothing when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._offered or self._stopping)
            self._changed.wait_for(self._is_enough, self._pace.wait_s())
            self._pace.began()
            taken: list[Queued] = []
            size = 0
            while self._offered and (not taken or size + self._offered[0].size <= _READ_BYTES):
                taken.append(self._offered.popleft())
                size += taken[-1].size
            self._reading = bool(taken)
            return taken

    def _is_enough(self) -> bool:
        """Whether reading what waits must not be put off."""
        size = sum(request.size for request in self._offered)
        return self._stopping or self._pace.enough(len(self._offered), size)

    def _read_some(self, signal: Signal, requests: list[Queued]) -> None:
        path = self._paths[signal]
        try:
            joined = decode_together(path.decode, [request.payload for request in requests])
            rows = [path.prepare(batch) for batch in joined.batches]
        except BaseException as error:  # noqa: BLE001 - a defect of ours (a panic of the decoder is no Exception)
            self._metrics.contained("read", error)
            self._fail(requests, Refused("this could not be worked on; it was counted", _FAILED_RETRY_S), "failed")
            return
        good = []
        for request, outcome in zip(requests, joined.outcomes, strict=True):
            if path.sent_on is None:
                request.payload = b""
            if isinstance(outcome, UnreadableDataError):
                self._pace.answered(1)
                self._answer(request, Refused(str(outcome), None), "unreadable")
                continue
            if outcome:
                self._metrics.add(semconv.SELF_REJECTED, outcome.get(DAMAGED, 0), DAMAGED)  # others count themselves
                message = ", ".join(f"{count} {reason}" for reason, count in outcome.items())
                request.accepted = Accepted(sum(outcome.values()), message)
            good.append(request)
        if good:
            size = sum(part.nbytes for part in rows)
            self._admission.hold(size)
            with self._changed:
                self._read.append(_Read(signal, rows, good, size))
                self._changed.notify_all()

    # ---- committing ---------------------------------------------------------------------------------------------

    def _run_committer(self) -> None:
        while True:
            taken = self._take_read()
            if taken is None:
                return
            if not taken:
                self._try_disk()
            for signal in self._paths:
                reads = [read for read in taken if read.signal == signal]
                if reads:
                    self._commit(signal, reads)
            with self._changed:
                self._committing = False

    def _take_read(self) -> list[_Read] | None:
        """What waits, up to a bound; an empty list when it is time to look after the disk, None to end."""
        with self._changed:
            self._changed.wait_for(self._has_work, _PROBE_S if self._refused else None)
            if not self._read and self._stopping and not self._offered and not self._reading:
                return None
            taken: list[_Read] = []
            rows = 0
            while self._read and rows < _COMMIT_ROWS:
                taken.append(self._read.popleft())
                rows += sum(part.num_rows for part in taken[-1].rows)
            self._committing = bool(taken)
            return taken

    def _has_work(self) -> bool:
        return bool(self._read) or (self._stopping and not self._offered and not self._reading)

    def _commit(self, signal: Signal, reads: list[_Read]) -> None:
        path = self._paths[signal]
        requests = [request for read in reads for request in read.requests]
        self._admission.commit_began()
        refused: str | None = None
        try:
            rows = self._fresh(path, pa.concat_batches([part for read in reads for part in read.rows]))
            kept = path.commit(rows) if rows.num_rows else rows
        except CannotStartError as error:
            self._metrics.contained("commit", error)
            refused = "the disk refuses"
            self._fail(requests, Refused(refused, _DISK_RETRY_S), "disk")
        except BaseException as error:  # noqa: BLE001 - a defect of ours: the sender must keep what it has
            self._metrics.contained("commit", error)
            self._fail(requests, Refused("this could not be worked on; it was counted", _FAILED_RETRY_S), "failed")
        else:
            self._metrics.recovered("commit")
            self._done(path, rows, kept, reads)
        finally:
            self._refused = refused is not None
            self._admission.commit_ended(refused)
            self._admission.hold(-sum(read.size for read in reads))

    def _fresh(self, path: SignalPath, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that are not on disk yet."""
        if path.keys is None:
            return rows
        repeated = path.keys.repeated(rows)
        if not repeated.any():
            return rows
        self._metrics.add(semconv.SELF_REPEATED, int(repeated.sum()))
        return rows.filter(pa.array(~repeated))

    def _done(self, path: SignalPath, rows: pa.RecordBatch, kept: pa.RecordBatch, reads: list[_Read]) -> None:
        """The rows are on disk: whatever happens now, the senders are told so."""
        if kept.num_rows:
            self._contain("live", partial(path.passed_on, kept))
        if path.keys is not None and rows.num_rows:
            self._contain("window", partial(path.keys.add, rows))  # compaction drops repeats, too
        self._pace.answered(sum(len(read.requests) for read in reads))
        for read in reads:
            if path.sent_on is not None:
                rows_read = sum(part.num_rows for part in read.rows)
                self._contain("forward", partial(path.sent_on, read.requests[0].payload, rows_read))
            for request in read.requests:
                self._answer(request, request.accepted, "accepted")

    def _contain(self, stage: str, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - this thread must live on, or no request is answered any more
            self._metrics.contained(stage, error)

    def _try_disk(self) -> None:
        """Find out whether the disk takes anything again, where no request tells."""
        if not self._refused:
            return
        try:
            self._probe()
        except (CannotStartError, OSError):
            return
        self._refused = False
        self._metrics.recovered("commit")
        self._admission.commit_ended()

    # ---- answers ------------------------------------------------------------------------------------------------

    def _fail(self, requests: list[Queued], refusal: Refused, label: str) -> None:
        for request in requests:
            self._answer(request, refusal, label)

    def _answer(self, request: Queued, answer: Answer, label: str, *, held: bool = True) -> None:
        if held:
            self._admission.hold(-request.size)
        self._metrics.add(semconv.SELF_REQUESTS, 1, label)
        if request.answer.set_running_or_notify_cancel():
            request.answer.set_result(answer)
