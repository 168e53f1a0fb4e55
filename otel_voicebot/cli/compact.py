"""``otel-voicebot compact``."""

from pathlib import Path
from typing import TYPE_CHECKING

from otel_voicebot.cli import output as out
from otel_voicebot.cli.options import Data, Json, Question
from otel_voicebot.errors import NoDataError, UnreadableDataError

if TYPE_CHECKING:
    from otel_voicebot.store.compact import Hour

__all__ = ["compact", "hour_text", "opened"]


def compact(
    *,
    data: Data = None,
    json: Json = False,
) -> int:
    """Merge closed hours into history now.

    `serve` and a bot do this by themselves. An hour becomes one file: sorted by session, each span once, without who is
    erased. An hour with a file that can't be read stays as it is; the file is named, and the exit code is 4.
    """
    directory = opened(data)
    import time  # noqa: PLC0415 - not for --help

    from otel_voicebot.store import compact as hours  # noqa: PLC0415
    from otel_voicebot.store import erase, lease  # noqa: PLC0415

    with lease.take(directory) as held:
        closed = hours.closed_hours(directory, time.time_ns())
        progress = _Progress("merging", len(closed))
        done, failed = hours.compact(held, closed, tell=progress)
        done += erase.purge(held, time.time_ns(), step=held.keep) if not failed else []
    document = {
        "schema": "otel_voicebot.compact/1",
        "data": str(directory),
        "hours": [
            {
                "table": one.hour.table,
                "hour": hour_text(one.hour),
                "files": one.files,
                "rows": one.merged.rows,
                "repeated": one.merged.repeated,
                "erased": one.merged.erased,
                "bytes_before": one.bytes_before,
                "bytes_after": one.bytes_after,
            }
            for one in done
        ],
        "failed": [{"table": one.hour.table, "hour": hour_text(one.hour), "message": str(one.error)} for one in failed],
    }
    if json:
        out.write_json(document, None)
    else:
        before, after = (sum(getattr(one, name) for one in done) for name in ("bytes_before", "bytes_after"))
        rows, repeated = (sum(getattr(one.merged, name) for one in done) for name in ("rows", "repeated"))
        count = "1 hour" if len(done) == 1 else f"{len(done)} hours"
        sizes = f", {before / 1e6:.1f} MB became {after / 1e6:.1f} MB" if done else ""
        out.write(f"{count} merged: {rows} rows, {repeated} repeated{sizes}\n", None)
    for one in failed:
        out.note(f"otel-voicebot: left as it was: {one.hour.table} {hour_text(one.hour)}: {one.error}")
    return _code([one.error for one in failed])


def _code(errors: list[Exception]) -> int:
    """4 for damage, 6 for a disk that refuses."""
    if not errors:
        return 0
    return UnreadableDataError.code if any(isinstance(error, UnreadableDataError) for error in errors) else 6


def opened(data: Path | None) -> Path:
    """The data directory that is meant.

    Raises:
        NoDataError: there is no such directory.
    """
    directory = Question(data).settings().data
    if not directory.is_dir():
        raise NoDataError(f"no data: {directory} is not a directory; name another with --data")
    return directory.absolute()


def hour_text(hour: "Hour") -> str:
    """``2026-11-21T04Z``."""
    return hour.name.removeprefix("date=").replace("/hour=", "T") + "Z"


class _Progress:
    """A line an hour, on stderr."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._begun = 0

    def __call__(self, hour: "Hour") -> None:
        self._begun += 1
        out.note(f"{self._what} {hour.table} {hour_text(hour)} ({self._begun} of {self._total})")
