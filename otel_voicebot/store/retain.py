"""Old hours go: by age, and where the data outgrows its cap the oldest first. Never an hour that is still open.

First the horizon moves, durably, so that every reader, writer and compactor has dropped the hours before the first file
is removed. Hours are those of ingest: a call imported today is kept as long as one held today.
"""

import contextlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from otel_voicebot.store import disk, marks
from otel_voicebot.store.compact import GRACE_NS, Hour, hours_of, parquet_files
from otel_voicebot.store.layout import HISTORY, HOT, HOUR_NS, horizon_path, start_of
from otel_voicebot.store.lease import Lease

__all__ = ["Retained", "older_than", "over_cap", "preview", "retain", "used_bytes"]

_TIERS: Final = (HOT, HISTORY)


@dataclass(frozen=True, slots=True)
class Retained:
    """What retention removed, or would remove."""

    horizon: int
    """Hours that began before this are gone; nanoseconds since 1970, 0 when none is."""
    hours: tuple[Hour, ...] = ()
    bytes: int = 0


def older_than(now: int, age_s: float) -> int:
    """The horizon for an age: an hour goes when all of it is older. Nanoseconds since 1970."""
    limit = now - int(age_s * 1e9)
    return max(limit - limit % HOUR_NS, 0)


def over_cap(data: Path, cap: int, now: int) -> int:
    """The horizon that brings the data below so many bytes; 0 when it is, and at most the start of the open hour."""
    sizes = _sizes(data)
    excess = sum(sizes.values()) - cap
    horizon = 0
    for name in sorted(sizes):
        if excess <= 0 or _is_open(name, now):
            break
        excess -= sizes[name]
        horizon = start_of(name) + HOUR_NS
    return horizon


def retain(lease: Lease, horizon: int, now: int) -> Retained:
    """Remove every hour that began before ``horizon``, or before an earlier one that wasn't seen through.

    Args:
        lease: the right to do so.
        horizon: nanoseconds since 1970; an hour that is open at ``now`` stays whatever it says.
        now: nanoseconds since 1970.

    Raises:
        LeaseError: another maintainer has taken over.
        OSError: the disk refuses.
    """
    data = lease.data
    limit = min(horizon, _first_open(now))
    reached = marks.horizon(data)
    if limit > reached:
        reached = marks.move_horizon(data, limit, partial(_publish, lease))
    removed: set[Hour] = set()
    size = 0
    for tier in _TIERS:
        for hour in hours_of(data, tier):
            if not marks.is_dropped(hour.name, reached):
                continue
            lease.keep()
            size += lease.discard(hour.directory(data, tier))
            removed.add(hour)
            _tidy(hour.directory(data, tier).parent)
    for hour in _sealed(data):
        if marks.is_dropped(hour.name, reached):
            marks.unseal(data, hour.table, hour.name)
            _tidy(hour.directory(data, HOT).parent)
    return Retained(reached, tuple(sorted(removed)), size)


def _publish(lease: Lease, content: bytes) -> None:
    made = lease.name(".horizon")
    with lease.fenced():
        disk.write(made, content, durable=True)
    lease.publish(made, horizon_path(lease.data))


def preview(data: Path, horizon: int, now: int) -> Retained:
    """What ``retain`` would remove now."""
    limit = max(min(horizon, _first_open(now)), marks.horizon(data))
    hours = {hour for tier in _TIERS for hour in hours_of(data, tier) if marks.is_dropped(hour.name, limit)}
    size = sum(_size(hour, data) for hour in hours)
    return Retained(limit, tuple(sorted(hours)), size)


def used_bytes(data: Path) -> int:
    """Bytes of all files in ``hot`` and ``history``, dropped ones too."""
    return sum(_sizes(data).values())


def _sizes(data: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for hour in {hour for tier in _TIERS for hour in hours_of(data, tier)}:
        sizes[hour.name] = sizes.get(hour.name, 0) + _size(hour, data)
    return sizes


def _size(hour: Hour, data: Path) -> int:
    return sum(disk.size(path) or 0 for tier in _TIERS for path in parquet_files(hour.directory(data, tier)))


def _is_open(name: str, now: int) -> bool:
    return start_of(name) >= _first_open(now)


def _first_open(now: int) -> int:
    """The start of the first hour that a commit may still go into."""
    return max((now - GRACE_NS) // HOUR_NS * HOUR_NS, 0)


def _sealed(data: Path) -> list[Hour]:
    return hours_of(data, HOT, suffix=".sealed")


def _tidy(date: Path) -> None:
    with contextlib.suppress(OSError):  # it holds other hours
        if disk.remove_directory(date):
            disk.sync_directory(date.parent)
