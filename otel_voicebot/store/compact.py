"""Closed hours become history: sealed, merged, sorted, each key once, published by one rename.

What a merged file holds is written into it (which hot files it was made of), so that a compactor killed between
publishing and removing is followed by one that only removes, and whatever came late is merged once more.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from otel_voicebot.errors import LeaseError, UnreadableDataError, VoicebotError
from otel_voicebot.spans.schema import TABLES
from otel_voicebot.store import disk, marks
from otel_voicebot.store.keys import RULES
from otel_voicebot.store.layout import HISTORY, HOT, HOUR_NS, start_of, table_directory
from otel_voicebot.store.lease import Lease
from otel_voicebot.store.merge import Merged, merge

__all__ = [
    "GRACE_NS",
    "PART",
    "Compacted",
    "Failed",
    "Hour",
    "StoppedError",
    "closed_hours",
    "compact",
    "compact_hour",
    "hours_of",
    "parquet_files",
    "rewrite_hour",
    "stepper",
]

PART: Final = "part-0.parquet"
GRACE_NS: Final = 60_000_000_000
"""An hour is closed a minute after its end: commits that began before it are through by then, or look for the seal."""

_MADE_OF: Final = b"otel_voicebot.made_of"
_DIGEST: Final = 8
_COMPUTED: Final = ("turns", "sessions")
"""Tables that are written without fsync, as they can be computed again: what a power cut has torn is left out."""


@dataclass(frozen=True, slots=True, order=True)
class Hour:
    """An hour of a table; hours sort by time."""

    name: str
    """Its two directory levels: ``date=2026-11-21/hour=04``."""
    table: str

    def directory(self, data: Path, tier: str) -> Path:
        """Where its files lie in ``hot`` or ``history``."""
        return table_directory(data, tier, self.table) / self.name


@dataclass(frozen=True, slots=True)
class Compacted:
    """An hour that was merged."""

    hour: Hour
    files: int
    """Files that went into it."""
    bytes_before: int
    bytes_after: int
    merged: Merged = field(default_factory=Merged)


@dataclass(frozen=True, slots=True)
class Failed:
    """An hour that stayed as it was, and why. Its rows are readable as before, but for what is damaged."""

    hour: Hour
    error: Exception


def hours_of(data: Path, tier: str, *, suffix: str = "") -> list[Hour]:
    """All hours of all tables that have a directory in ``hot`` or ``history``, the oldest first.

    With a ``suffix`` those that have an entry of their name and this suffix, such as a seal.
    """
    found = []
    for table in TABLES:
        directory = table_directory(data, tier, table)
        for date in disk.names(directory):
            entries = (entry for entry in disk.names(directory / date) if entry.endswith(suffix))
            names = (f"{date}/{entry.removesuffix(suffix)}" for entry in entries)
            found += [Hour(name, table) for name in names if _is_hour(name)]
    return sorted(found)


def closed_hours(data: Path, now: int, grace_ns: int = GRACE_NS) -> list[Hour]:
    """Hours in ``hot`` that are over at ``now`` (nanoseconds since 1970) and not dropped, the oldest first."""
    dropped = marks.horizon(data)
    return [
        hour
        for hour in hours_of(data, HOT)
        if start_of(hour.name) + HOUR_NS + grace_ns <= now and not marks.is_dropped(hour.name, dropped)
    ]


def compact(
    lease: Lease,
    hours: Iterable[Hour],
    *,
    tell: Callable[[Hour], None] = lambda _hour: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[Compacted], list[Failed]]:
    """Merge these closed hours, one after the other; one that fails is left as it was.

    Args:
        lease: the right to do so.
        hours: of ``closed_hours``.
        tell: called before each hour.
        stop: asked before each hour and now and then inside one, which is left as it was then.

    Raises:
        LeaseError: another maintainer has taken over.
    """
    done: list[Compacted] = []
    failed: list[Failed] = []
    for hour in hours:
        if stop():
            break
        lease.keep()
        tell(hour)
        try:
            if (one := compact_hour(lease, hour, step=stepper(lease, stop))) is not None:
                done.append(one)
        except StoppedError:
            break
        except LeaseError:
            raise
        except (VoicebotError, OSError) as error:
            if not disk.exists(lease.work):
                lease.keep()
                raise LeaseError(f"another maintainer has taken over {lease.data}") from error
            failed.append(Failed(hour, error))
    return done, failed


class StoppedError(Exception):
    """Somebody asked to stop."""


def stepper(lease: Lease, stop: Callable[[], bool]) -> Callable[[], None]:
    """What long work calls now and then: keeps the lease, and raises StoppedError when ``stop`` says so."""

    def step() -> None:
        if stop():
            raise StoppedError
        lease.keep()

    return step


def compact_hour(lease: Lease, hour: Hour, *, step: Callable[[], None]) -> Compacted | None:
    """Merge one closed hour into history; None when nothing was to be merged. Safe to repeat after a kill anywhere.

    Raises:
        UnreadableDataError: a file is damaged, or of a newer version; the hour is left as it was.
        LeaseError: another maintainer has taken over.
        OSError: the disk refuses.
    """
    data = lease.data
    was_sealed = marks.is_sealed(data, hour.table, hour.name)
    # Sealed before it is listed: whoever renames a file into the hour from now on sees the seal and makes a copy.
    marks.seal(data, hour.table, hour.name)
    hot = parquet_files(hour.directory(data, HOT))
    history = parquet_files(hour.directory(data, HISTORY))
    known = b"".join(_made_of(path) for path in history)
    digests = {known[at : at + _DIGEST] for at in range(0, len(known), _DIGEST)}
    fresh = [path for path in hot if _digest(path) not in digests]
    if history and was_sealed and not RULES[hour.table].key:
        fresh = []  # what came late has a copy in another hour, and without a key nothing would drop one of them
    torn = _torn(fresh) if hour.table in _COMPUTED else []
    inputs = [*history, *(path for path in fresh if path not in torn)]
    done = None
    if inputs and (fresh or len(history) > 1):
        done = _publish(lease, hour, inputs, known + b"".join(map(_digest, fresh)), step)
    for path in hot:
        lease.discard(path)
    _tidy(hour.directory(data, HOT))
    return done


def rewrite_hour(lease: Lease, hour: Hour, *, step: Callable[[], None]) -> Compacted:
    """Make the hour in history anew, without who is erased by now. Raises as ``compact_hour``."""
    history = parquet_files(hour.directory(lease.data, HISTORY))
    return _publish(lease, hour, history, b"".join(_made_of(path) for path in history), step)


def parquet_files(directory: Path) -> list[Path]:
    """The files that readers take for data."""
    return [directory / name for name in disk.names(directory) if name.endswith(".parquet")]


def _publish(lease: Lease, hour: Hour, inputs: Sequence[Path], made_of: bytes, step: Callable[[], None]) -> Compacted:
    before = sum(disk.size(path) or 0 for path in inputs)
    made = lease.name(".parquet")
    erased = marks.erased(lease.data)
    note = {_MADE_OF.decode(): base64.b64encode(made_of).decode()}
    merged = merge(hour.table, inputs, made, erased=erased, note=note, step=step)
    size = disk.size(made) or 0
    directory = hour.directory(lease.data, HISTORY)
    lease.publish(made, directory / PART)
    # An hour of several files was made by another tool. For a moment its rows are there twice, which models sort out.
    for path in inputs:
        if path.parent == directory and path.name != PART:
            lease.discard(path)
    return Compacted(hour, len(inputs), before, size, merged)


def _made_of(path: Path) -> bytes:
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        first_line = str(error).partition("\n")[0]
        raise UnreadableDataError(f"{path} can't be read: {first_line}", (str(path),)) from error
    return base64.b64decode(metadata.get(_MADE_OF, b""))


def _digest(path: Path) -> bytes:
    return hashlib.blake2b(path.name.encode(), digest_size=_DIGEST).digest()


def _torn(paths: Sequence[Path]) -> list[Path]:
    torn = []
    for path in paths:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                for _ in file.iter_batches():
                    pass
        except (OSError, pa.ArrowException):
            torn.append(path)
    return torn


def _tidy(directory: Path) -> None:
    """Remove an hour's directory when nothing is in it; a late writer may have put a file there, or makes it again."""
    try:
        disk.remove_directory(directory)
    except OSError:
        return
    disk.sync_directory(directory.parent)


def _is_hour(name: str) -> bool:
    try:
        start_of(name)
    except ValueError:
        return False
    return True
