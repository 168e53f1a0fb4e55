"""``otel-voicebot retain``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.compact import hour_text, opened
from otel_voicebot.cli.options import Data, Json, Question
from otel_voicebot.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from otel_voicebot.store.retain import Retained

__all__ = ["retain"]


def retain(
    *,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="AGE",
            help="Remove hours older than this, such as 30d. Default: $OTEL_VOICEBOT_RETENTION.",
            show_default=False,
        ),
    ] = None,
    disk_cap: Annotated[
        str | None,
        typer.Option(
            "--disk-cap",
            metavar="SIZE",
            help="Then the oldest hours until the rest is below this, such as 50GB. Default: $OTEL_VOICEBOT_DISK_CAP.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    data: Data = None,
    json: Json = False,
) -> int:
    """Remove old hours now.

    `serve` and a bot with `retention` or `disk_cap` set do this by themselves. Hours are those in which data came in;
    the open hour always stays.
    """
    directory = opened(data)
    given: dict[str, Any] = {"retention": older_than, "disk_cap": disk_cap}
    settings = Question(data).settings(**{name: value for name, value in given.items() if value is not None})
    if settings.retention is None and settings.disk_cap is None:
        msg = "nothing says what may go: give --older-than 30d, --disk-cap 50GB, or both"
        raise UsageError(msg)
    removed, left = _removed(directory, settings.retention, settings.disk_cap, dry_run=dry_run)
    document = {
        "schema": "otel_voicebot.retain/1",
        "data": str(directory),
        "dry_run": dry_run,
        "horizon_unix_nano": removed.horizon,
        "hours": [{"table": hour.table, "hour": hour_text(hour)} for hour in removed.hours],
        "bytes": removed.bytes,
        "bytes_left": left,
    }
    if json:
        out.write_json(document, None)
    else:
        verb = "would be removed" if dry_run else "removed"
        sizes = f"{removed.bytes / 1e6:.1f} MB; {left / 1e6:.1f} MB left"
        out.write(f"{_count(removed)} {verb}, {sizes}\n", None)
    return 0


def _count(removed: "Retained") -> str:
    names = {hour.name for hour in removed.hours}
    return "1 hour" if len(names) == 1 else f"{len(names)} hours"


def _removed(directory: "Path", age_s: float | None, cap: int | None, *, dry_run: bool) -> "tuple[Retained, int]":
    """What goes, and the bytes that stay."""
    import time  # noqa: PLC0415 - not for --help

    from otel_voicebot.store import retain as hours  # noqa: PLC0415
    from otel_voicebot.store.lease import take  # noqa: PLC0415

    now = time.time_ns()
    horizon = max(
        hours.older_than(now, age_s) if age_s is not None else 0,
        hours.over_cap(directory, cap, now) if cap is not None else 0,
    )
    if dry_run:
        found = hours.preview(directory, horizon, now)
        return found, hours.used_bytes(directory) - found.bytes
    with take(directory) as lease:
        done = hours.retain(lease, horizon, now)
    for hour in done.hours:
        out.note(f"removed {hour.table} {hour_text(hour)}")
    return done, hours.used_bytes(directory)
