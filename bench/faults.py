"""What is left after faults: a real Collector and the service under load, and one table. ``acked but missing`` is 0."""

from collections import Counter
from collections.abc import Callable

from bench import collector, faults_points
from bench.faults_kill import kill_stores
from bench.faults_points import POINTS
from bench.faults_race import race
from bench.faults_service import FAULTS, Length, kill_service
from bench.faults_tally import COLUMNS, Tally
from bench.figures import Figure, Section

__all__ = ["run"]

_SEED = 20_261_121
_FULL, _QUICK = Length(), Length(down_s=6.0, stopped_s=3.0, slow_s=6.0, full_s=3.0, terms=2)


def run(*, quick: bool, tell: Callable[[str], None]) -> Section:
    """Every fault once: about 20 minutes, or 4 for a first look. What can't be done here is said in a note."""
    notes: list[str] = []
    tallies: list[Tally] = []
    points: Counter[str] = Counter()
    if reason := faults_points.why_not():
        notes.append(f"no kills at system calls: {reason}")
    else:
        kills, least = (60, 3) if quick else (1_000, 50)
        done = kill_stores(kills, least, _SEED, tell)
        points += done.points
        done.tally.fault = f"SIGKILL of store processes, {done.points.total()} times"
        tallies.append(done.tally)
        tell("faults: replicas and compactors race")
        tallies.append(race(10.0 if quick else 60.0, _SEED))
    if reason := collector.why_not():
        notes.append(f"no faults of the whole chain: {reason}")
    else:
        collector.binary()
        tallies += _chain(points, notes, tell, quick=quick)
    return _section(tallies, points, notes)


def _chain(points: Counter[str], notes: list[str], tell: Callable[[str], None], *, quick: bool) -> list[Tally]:
    tallies = []
    if faults_points.why_not() is None:
        tally, hit = kill_service(6 if quick else 60, _SEED, tell)
        points.update(hit)
        tallies.append(tally)
    for fault in FAULTS.values():
        if reason := fault.why_not():
            notes.append(f"{fault.name}: left out, {reason}")
            continue
        tell(f"faults: {fault.name}")
        tallies.append(fault.run(_SEED, _QUICK if quick else _FULL))
    return tallies


def _section(tallies: list[Tally], points: Counter[str], notes: list[str]) -> Section:
    named = [points[point] for point in POINTS]
    figures = [
        Figure("acknowledged but missing, all rows", sum(tally.missing for tally in tallies), "spans", "<=", 0),
        Figure("counted twice in a report", sum(tally.in_report for tally in tallies), "spans", "<=", 0),
        Figure("repeated inside a compacted hour", sum(tally.repeated_inside for tally in tallies), "spans", "<=", 0),
        Figure("refused for good", sum(tally.refused for tally in tallies), "requests", "<=", 0),
        Figure("SIGKILL points", points.total(), "kills"),
        Figure("fewest at a named point", min(named), "kills"),
    ]
    said = ", ".join(f"{point} {points[point]}" for point in (*POINTS, "elsewhere"))
    notes = [
        f"SIGKILL by strace as a system call is entered: {said}.",
        "What repeats before compaction was sent again; after it only spans of different hours do: models drop them.",
        *notes,
    ]
    return Section("faults", "Faults under load", COLUMNS, [tally.row() for tally in tallies], figures, notes)
