"""The store's own functions at work side by side, and what was promised: writers, readers, compactors, erasure.

Each scenario starts actors (see ``scheduler``) and gives what checks the end. A reader compares what it sees with what
was promised before it began.
"""

import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable

import duckdb

from otel_voicebot.errors import LeaseError, NoDataError, UnreadableDataError
from otel_voicebot.models import MODELS
from otel_voicebot.store import Snapshot, SpanStore, Window, compact, erase, lease, marks, reader, retain
from otel_voicebot.store.layout import HOUR_NS, hour_of
from tests.store.rows import START, span_id, span_rows
from tests.store.scheduler import BrokenPromiseError, World

A, B = 0, 100  # two spans, of two traces and two sessions
SESSIONS = {A: "call-0", B: "call-1"}
NUMBERS = {span_id(number): number for number in (A, B)}
COLUMNS = ["trace_id", "span_id", "session_id", "ingest_time", "start_unix_nano"]
WRITERS = [itertools.count()]  # of the present run
COUNTED = [MODELS["once"].text]


class Store:
    """One data directory, and what was promised about it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.data = world.data
        self.now = START
        self.acked: set[int] = set()
        self.erased: set[int] = set()
        self.hidden: set[int] = set()  # erased or dropped, or about to be
        self.dropping = False
        self.erasure: erase.Erasure | None = None
        WRITERS[:] = [itertools.count()]
        SpanStore(self.data)  # as any start does, which is not what is looked at here

    def clock(self) -> int:
        """Nanoseconds since 1970."""
        return self.now

    # ---- writers ------------------------------------------------------------------------------------------------

    def writer(self, name: str, spans: Iterable[int]) -> None:
        """A service that takes these spans, one request each."""
        store, known = SpanStore(self.data, clock=self.clock), Window(3600, 64)
        self.world.start(name, lambda: [self.take(store, known, span) for span in spans] and None)

    def take(self, store: SpanStore, known: Window, span: int) -> None:
        """As the service does: a repeat is safe already; what is new is committed, then known, then acknowledged."""
        rows = span_rows(1, first=span)
        if not known.repeated(rows).any():
            store.commit([rows])
            known.add(rows)
        self.acked.add(span)
        if self.dropping:
            self.hidden.add(span)

    def restart(self, spans: Iterable[int]) -> None:
        """A service that starts on what is there, and is sent these spans again."""
        store, known = SpanStore(self.data, clock=self.clock), Window(3600, 64)
        known.rebuild(self.data)
        for span in spans:
            self.take(store, known, span)

    def crash(self, name: str, spans: Iterable[int]) -> None:
        """Kills a service with SIGKILL and starts it again; the sender sends again what has no answer, and more."""

        def work() -> None:
            self.world.step("kill")
            self.world.kill(name)
            self.restart(spans)

        self.world.start("crash", work)

    def power_cut(self, spans: Iterable[int], share: float = 1.0) -> None:
        """Everything stops, and of what was not fsynced such a share is lost; a service starts and is sent these."""

        def work() -> None:
            self.world.step("power cut")
            for name in self.world.actors:
                if name != "power":
                    self.world.kill(name)
            draw = random.Random(repr(sorted(self.world.plan.items())))
            self.world.power_cut(lambda: draw.random() < share)
            if spans:
                self.restart(spans)

        self.world.start("power", work)

    # ---- who looks after the files ------------------------------------------------------------------------------

    def compactor(self, name: str = "compactor", *, later_ns: int = HOUR_NS * 3 // 2) -> None:
        """Merges what is closed by its clock, which is that much ahead."""
        self.world.start(name, lambda: self.compact(self.now + later_ns))

    def compact(self, now: int) -> None:
        """Merge what is closed, where nobody else is at it."""
        try:
            with lease.take(self.data, term_s=60, clock=self.clock) as mine:
                taken = lease.holder(self.data)
                _, failed = compact.compact(mine, compact.closed_hours(self.data, now))
                present = lease.holder(self.data)
        except LeaseError:
            return
        if failed and taken and present and taken.number == present.number:  # else the other's work was in the way
            raise BrokenPromiseError(f"compaction failed: {failed[0].error}")

    def compact_later(self) -> None:
        """Merge what is closed, by a clock by which every lease of now is over."""
        now = self.now + HOUR_NS * 3 // 2
        with contextlib.suppress(LeaseError), lease.take(self.data, term_s=60, clock=lambda: now) as mine:
            compact.compact(mine, compact.closed_hours(self.data, now))

    def eraser(self, span: int, *, later_ns: int = HOUR_NS * 3 // 2) -> None:
        """Erases the session of a span."""

        def work() -> None:
            self.hidden.add(span)
            now = self.now + later_ns
            self.erasure = erase.erase(self.data, sessions=[SESSIONS[span]], clock=lambda: now)
            self.erased.add(span)

        self.world.start("eraser", work)

    def retainer(self) -> None:
        """Drops, five hours later, the first hour, and all that was acknowledged in it before that was done."""

        def work() -> None:
            self.hidden |= self.acked
            dropped, self.dropping = set(self.acked), True
            now = self.now + 5 * HOUR_NS
            with lease.take(self.data, term_s=60, clock=lambda: now) as mine:
                retain.retain(mine, START + 2 * HOUR_NS, now)
            self.dropping = False
            self.erased |= dropped

        self.world.start("retainer", work)

    # ---- readers ------------------------------------------------------------------------------------------------

    def read(self) -> list[int]:
        """The spans that a report counts: the files by ``reading``, the models' way to count a repeated span once."""

        def count(found: Snapshot) -> list[int]:
            self.world.step("query")
            try:
                return query(found)
            except duckdb.Error as error:
                raise UnreadableDataError(str(error)) from error

        try:
            return reader.reading(self.data, count)
        except NoDataError:
            return []

    def look(self, who: str) -> None:
        """Read, and compare with what was promised before the read began."""
        acked, erased = set(self.acked), set(self.erased)
        seen = Counter(self.read())
        if missing := acked - seen.keys() - self.hidden:
            raise BrokenPromiseError(f"{who} misses {missing}")
        if back := erased & seen.keys():
            raise BrokenPromiseError(f"{who} sees {back}, which was erased")
        if twice := {span for span, times in seen.items() if times > 1}:
            raise BrokenPromiseError(f"{who} sees {twice} twice")

    def reader(self, name: str, times: int = 1) -> None:
        """Someone who asks for a report, so often."""
        self.world.start(name, lambda: [self.look(name) for _ in range(times)] and None)

    def finish(self) -> None:
        """Reads after all is done, after the last hours are merged too, and after tombstones were removed."""
        self.look("a last read")
        self.now += 20 * HOUR_NS
        self.compact(self.now)
        self.look("a read of history")
        if self.erasure is None:
            return
        if not self.erasure.complete:  # another maintainer was at work, or an hour was open
            with lease.take(self.data, clock=self.clock) as mine:
                erase.purge(mine, self.now, step=lambda: None)
            if held := erase.holding(self.data):
                raise BrokenPromiseError(f"{held} still hold who was erased")
        for one in marks.tombstones(self.data):
            marks.forget(self.data, one.id)
        self.look("a read without tombstones")


def query(found: Snapshot) -> list[int]:
    """Span numbers, each repeated one once, by the models."""
    with duckdb.connect(config={"threads": 1}) as reads:
        reads.execute(f"CREATE VIEW spans AS {found.sql(COLUMNS, raw_ids=True)}")
        reads.execute(f"CREATE TEMP TABLE repeats AS {MODELS['repeats'].text}")
        return [NUMBERS[span] for (span,) in reads.execute(f"SELECT span_id FROM ({COUNTED[-1]})").fetchall()]


# ---- scenarios ------------------------------------------------------------------------------------------------------


def compaction(world: World) -> Callable[[], None]:
    """Two replicas, one span delivered to both, a compactor whose clock is past the hour, a reader."""
    store = Store(world)
    store.restart([B])
    store.writer("one", [A, A])
    store.compactor()
    store.writer("two", [A, B])
    store.reader("reader")
    return store.finish


def reading_meanwhile(world: World) -> Callable[[], None]:
    """A reader, and a compactor that merges what it reads, twice, as something came late."""
    store = Store(world)
    store.restart([A])
    store.reader("reader")
    store.compactor()
    store.writer("late", [B])
    store.compactor("again")
    return store.finish


def kill(world: World) -> Callable[[], None]:
    """A writer that is killed and started again, beside a compactor."""
    store = Store(world)
    store.restart([B])
    store.writer("one", [A])
    store.compactor()
    store.crash("one", [A, B])
    return store.finish


def kill_and_power_cut(world: World) -> Callable[[], None]:
    """A writer that is killed and started again, then the power fails; the sender has got all its answers."""
    store = Store(world)
    store.writer("one", [A])
    store.crash("one", [A])
    store.power_cut([])
    return store.finish


def compaction_and_power_cut(world: World) -> Callable[[], None]:
    """The power fails while a writer, a compactor and another one are at work; some of what wasn't fsynced is lost."""
    store = Store(world)
    store.restart([B])
    store.writer("one", [A])
    store.compactor()
    store.power_cut([B], share=0.5)
    store.compactor("again")
    return store.finish


def two_compactors(world: World) -> Callable[[], None]:
    """The second compactor's clock says that the lease of the first is over."""
    store = Store(world)
    store.restart([A, B])
    store.compactor("first")
    world.start("second", store.compact_later)
    store.reader("reader")
    return store.finish


def erasure(world: World) -> Callable[[], None]:
    """One session is erased while a compactor merges it, and a repeat of it arrives; another session stays."""
    store = Store(world)
    store.restart([A, B])
    store.compactor()
    store.eraser(B)
    store.writer("one", [B])
    store.reader("reader")
    return store.finish


def erasure_of_an_open_hour(world: World) -> Callable[[], None]:
    """The session's hour is open, so that its file stays until the hour is merged."""
    store = Store(world)
    store.restart([A, B])
    store.eraser(B, later_ns=0)
    store.reader("reader")
    store.compactor()
    return store.finish


def rewriting(world: World) -> Callable[[], None]:
    """One session is erased from history while somebody reads the other."""
    store = Store(world)
    store.restart([A, B])
    store.compact(store.now + 2 * HOUR_NS)
    store.reader("reader")
    store.eraser(B)
    return store.finish


def retention(world: World) -> Callable[[], None]:
    """The hour of one span is dropped while a writer that began in it is still about to put another there."""
    store = Store(world)
    store.restart([B])
    store.writer("one", [A])
    store.retainer()
    store.reader("reader")
    return store.finish


def retention_and_power_cut(world: World) -> Callable[[], None]:
    """An hour is dropped, and the power fails before its removal is durable."""
    store = Store(world)
    store.restart([B])
    store.retainer()
    store.power_cut([A])
    store.reader("reader")
    return store.finish


def a_repeat_in_flight(world: World) -> Callable[[], None]:
    """A span comes twice; the second arrives while the first is being committed, and then the service is killed."""
    store = Store(world)
    sink, known = SpanStore(store.data, clock=store.clock), Window(3600, 64)

    def repeat() -> None:
        world.step("a repeat arrives")
        if known.repeated(span_rows(1, first=A)).any():
            store.acked.add(A)

    world.start("one", lambda: TAKE[-1](store, sink, known, A))
    world.start("repeat", repeat)
    world.start("kill", lambda: world.kill("one"))
    return store.finish


def a_late_file(world: World) -> Callable[[], None]:
    """A writer's file is in place and counted by a replica that starts; then the hour is sealed, and somebody reads."""
    store = Store(world)
    store.writer("one", [A])
    world.advance("one", "sync_directory hot/spans/date=2026-11-21/hour=00")
    world.advance("one", "exists hot")
    store.restart([A])
    marks.seal(store.data, "spans", hour_of(START))
    store.reader("reader")
    return store.finish


def a_killed_late_writer(world: World) -> Callable[[], None]:
    """A writer's file comes into an hour that was sealed and listed; the writer is killed before it is published."""
    store = Store(world)
    store.restart([B])
    store.writer("one", [A])
    world.advance("one", "rename tmp")
    store.crash("one", [A])
    store.compactor()
    world.advance("compactor", "rename work")
    return store.finish


TAKE = [Store.take]
SCENARIOS = [
    compaction,
    reading_meanwhile,
    kill,
    kill_and_power_cut,
    compaction_and_power_cut,
    two_compactors,
    erasure,
    erasure_of_an_open_hour,
    rewriting,
    retention,
    retention_and_power_cut,
    a_repeat_in_flight,
    a_late_file,
    a_killed_late_writer,
]
