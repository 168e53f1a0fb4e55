"""The rules of the store, held by its own functions, whatever the order in which their steps come.

Each scenario runs writers, a reader, the compactor, erasure and retention step by step (``scheduler``): what was
acknowledged is seen by every read that starts later, once, nothing half, no read fails, who was erased stays away.
Each rule is then taken out, and the same search has to find what goes wrong.
"""

import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from otel_voicebot.store import Snapshot, SpanStore, Window, compact, disk, lease, marks, reader, window
from otel_voicebot.store import writer as writing
from otel_voicebot.store.layout import Names
from tests.store import scenarios
from tests.store.scheduler import Scenario, explore

RUNS = 120


def content(paths: Iterable[Path]) -> tuple[bytes, ...]:
    """What files hold now."""
    return tuple(hashlib.blake2b(path.read_bytes()).digest() for path in paths)


@pytest.fixture(autouse=True)
def each_thing_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is the same in all runs is computed once: encoded rows, merged files and answers, each by its input."""
    encode, merge, ask = writing._encode, compact.merge, scenarios.query
    made: dict[object, Any] = {}

    def encoded(table: str, rows: pa.Table) -> pa.Buffer:
        key = (table, *rows["span_id"].to_pylist())
        if key not in made:
            made[key] = encode(table, rows)
        return made[key]

    def merge_once(table: str, inputs: Sequence[Path], target: Path, **options: Any) -> Any:
        options.pop("step")()  # so often in each run
        key = (table, content(inputs), options["erased"], tuple(options["note"].items()))
        if key in made:
            disk.write(target, made[key][0], durable=True)
            return made[key][1]
        done = merge(table, inputs, target, step=lambda: None, **options)
        made[key] = (target.read_bytes(), done)
        return done

    def ask_once(found: Snapshot) -> list[int]:
        try:
            key = (content(found.hot), content(found.history), found.erased, scenarios.COUNTED[-1])
        except FileNotFoundError:
            return ask(found)
        if key not in made:
            made[key] = ask(found)
        return made[key]

    def draw(names: Names) -> None:  # unlike in real life the same in each run, so that what is made of them is too
        names.writer, names._numbers, names._pid = (
            f"writer-{next(scenarios.WRITERS[-1])}",
            itertools.count(),
            os.getpid(),
        )

    monkeypatch.setattr(writing, "_encode", encoded)
    monkeypatch.setattr(compact, "merge", merge_once)
    monkeypatch.setattr(scenarios, "query", ask_once)
    monkeypatch.setattr(Names, "_draw", draw)


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_no_order_of_steps_breaks_a_promise(tmp_path: Path, scenario: Scenario) -> None:
    """Nothing acknowledged is missed, nothing is seen twice, no read fails, nobody erased comes back."""
    runs, wrong = explore(tmp_path, scenario, limit=RUNS)
    assert wrong == ""
    assert runs > 20


# ---- without a rule -------------------------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch


def _without(module: Any, **replaced: Any) -> SimpleNamespace:
    """A module as one of its users sees it, with some functions replaced."""
    return SimpleNamespace(**{**vars(module), **replaced})


def names_repeat(patch: Patch) -> None:
    """A writer counts from 0 at each start, under one name."""

    def draw(names: Names) -> None:
        names.writer, names._numbers, names._pid = "writer", itertools.count(), os.getpid()

    patch.setattr(Names, "_draw", draw)


def bytes_are_not_synced(patch: Patch) -> None:
    """A commit doesn't fsync its file."""

    def place(content: pa.Buffer, tmp: Path, path: Path, *, durable: bool) -> None:
        disk.write(tmp, content, durable=False)
        disk.rename(tmp, path)
        disk.sync_directory(path.parent)

    patch.setattr(writing, "_place", place)


def directory_is_not_synced(patch: Patch) -> None:
    """A commit doesn't fsync the directory after its rename."""

    def place(content: pa.Buffer, tmp: Path, path: Path, *, durable: bool) -> None:
        disk.write(tmp, content, durable=True)
        disk.rename(tmp, path)

    patch.setattr(writing, "_place", place)


def file_is_not_renamed(patch: Patch) -> None:
    """A commit writes under the final name, in two steps."""

    def place(content: pa.Buffer, tmp: Path, path: Path, *, durable: bool) -> None:
        disk.write(path, memoryview(content)[:1000], durable=True)
        disk.exists(path)
        disk.remove(path)
        disk.write(path, content, durable=True)
        disk.sync_directory(path.parent)

    patch.setattr(writing, "_place", place)


def keys_enter_on_arrival(patch: Patch) -> None:
    """A span is known as soon as it arrives."""

    def take(store: scenarios.Store, sink: SpanStore, known: Window, span: int) -> None:
        rows = scenarios.span_rows(1, first=span)
        known.add(rows)
        sink.commit([rows])
        store.acked.add(span)

    patch.setattr(scenarios, "TAKE", [take])


def sealed_hours_are_counted(patch: Patch) -> None:
    """A window is rebuilt from what lies in sealed hours too."""
    patch.setattr(window, "marks", _without(marks, is_sealed=lambda *_: False))


def others_entries_are_relied_upon(patch: Patch) -> None:
    """A window is rebuilt from files whose directory nobody has fsynced."""
    patch.setattr(window, "disk", _without(disk, sync_directory=lambda _: None))


def writers_do_not_look_for_seals(patch: Patch) -> None:
    """A writer that was slow acknowledges what it put into a sealed hour."""
    patch.setattr(writing, "marks", _without(marks, is_sealed=lambda *_: False))


def hours_are_listed_before_they_are_sealed(patch: Patch) -> None:
    """The compactor seals an hour after it has merged it."""
    listed = compact.parquet_files
    sealed = marks.seal
    late: list[tuple[Any, ...]] = []
    patch.setattr(compact, "marks", _without(marks, seal=lambda *hour: late.append(hour)))

    def publish(self: lease.Lease, made: Path, target: Path) -> None:
        sealed(*late.pop())
        released(self, made, target)

    released = lease.Lease.publish
    patch.setattr(lease.Lease, "publish", publish)
    patch.setattr(compact, "parquet_files", listed)


def late_files_are_moved(patch: Patch) -> None:
    """A writer that finds the seal moves its file to the open hour."""
    put = SpanStore._put

    def move(self: SpanStore, table: str, rows: pa.Table, hour: str, *, durable: bool) -> Path:
        before = self.__dict__.setdefault("before", [])
        if not before:
            before.append(put(self, table, rows, hour, durable=durable))
            return before[0]
        source = before.pop()
        target = source.parents[2] / hour / source.name
        disk.make(target.parent)
        disk.rename(source, target)
        disk.sync_directory(target.parent)
        return target

    patch.setattr(SpanStore, "_put", move)


def hours_are_replaced_in_two_steps(patch: Patch) -> None:
    """The former file of an hour goes before the new one comes."""
    publish = lease.Lease.publish

    def replace(self: lease.Lease, made: Path, target: Path) -> None:
        self.discard(target)
        publish(self, made, target)

    patch.setattr(lease.Lease, "publish", replace)


def history_is_listed_first(patch: Patch) -> None:
    """A reader lists history, then hot."""
    hours = reader._hours

    def backwards(data: Path, table: str, since: object) -> tuple[list[Path], list[Path]]:
        history = dict(hours(data / "history" / table, ""))
        hot = dict(hours(data / "hot" / table, ""))
        current = [path for hour, paths in hot.items() if hour not in history for path in paths]
        return current, [path for paths in history.values() for path in paths]

    patch.setattr(reader, "_list", backwards)


def a_vanished_file_is_an_error(patch: Patch) -> None:
    """A reader lists once."""
    patch.setattr(reader, "_LISTINGS", 1)


def repeats_are_counted(patch: Patch) -> None:
    """Models take every row of every file."""
    patch.setattr(scenarios, "COUNTED", ["SELECT * FROM spans"])


def a_lost_lease_still_publishes(patch: Patch) -> None:
    """Who takes the lease leaves its predecessor's directory where it is."""
    patch.setattr(lease, "_fence", lambda *_: None)


def readers_show_the_erased(patch: Patch) -> None:
    """A reader takes no notice of tombstones."""
    patch.setattr(reader, "erased", lambda _: marks.Erased())


def compaction_keeps_the_erased(patch: Patch) -> None:
    """The compactor takes no notice of tombstones."""
    patch.setattr(compact, "marks", _without(marks, erased=lambda _: marks.Erased()))


def writers_keep_out_of_no_dropped_hour(patch: Patch) -> None:
    """A writer that was slow acknowledges what it put into a dropped hour."""
    patch.setattr(marks.Marks, "horizon", lambda _: 0)


def readers_show_dropped_hours(patch: Patch) -> None:
    """A reader takes no notice of the horizon."""
    patch.setattr(reader, "horizon", lambda _: 0)


RULES: list[tuple[str, Callable[[Patch], None], Scenario]] = [
    ("NAMES", names_repeat, scenarios.kill),
    ("COMMIT", bytes_are_not_synced, scenarios.compaction_and_power_cut),
    ("COMMIT", directory_is_not_synced, scenarios.compaction_and_power_cut),
    ("COMMIT", file_is_not_renamed, scenarios.reading_meanwhile),
    ("WINDOW", keys_enter_on_arrival, scenarios.a_repeat_in_flight),
    ("REBUILD", sealed_hours_are_counted, scenarios.a_killed_late_writer),
    ("SYNC", others_entries_are_relied_upon, scenarios.kill_and_power_cut),
    ("SEAL", writers_do_not_look_for_seals, scenarios.compaction),
    ("SEAL", hours_are_listed_before_they_are_sealed, scenarios.compaction),
    ("COPY", late_files_are_moved, scenarios.a_late_file),
    ("GEN", hours_are_replaced_in_two_steps, scenarios.rewriting),
    ("ORDER", history_is_listed_first, scenarios.reading_meanwhile),
    ("RETRY", a_vanished_file_is_an_error, scenarios.reading_meanwhile),
    ("ONCE", repeats_are_counted, scenarios.compaction),
    ("LOCK, FENCE", a_lost_lease_still_publishes, scenarios.erasure),
    ("TOMB", readers_show_the_erased, scenarios.erasure_of_an_open_hour),
    ("TOMB", compaction_keeps_the_erased, scenarios.erasure_of_an_open_hour),
    ("HORIZON", writers_keep_out_of_no_dropped_hour, scenarios.retention),
    ("HORIZON", readers_show_dropped_hours, scenarios.retention_and_power_cut),
]


@pytest.mark.parametrize(("rule", "taken_out", "scenario"), RULES, ids=[f"{r[0]}: {r[1].__name__}" for r in RULES])
def test_without_a_rule_a_promise_breaks(
    tmp_path: Path, monkeypatch: Patch, rule: str, taken_out: Callable[[Patch], None], scenario: Scenario
) -> None:
    """The search finds an order of steps in which a store without the rule loses, doubles or shows what it may not."""
    taken_out(monkeypatch)
    runs, wrong = explore(tmp_path, scenario, limit=1000)
    print(f"{rule}: after {runs} runs {wrong[:300]}")
    assert wrong.startswith(("BrokenPromiseError", "UnreadableDataError"))
