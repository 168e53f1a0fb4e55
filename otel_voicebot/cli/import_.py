"""``otel-voicebot import``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.options import Data, Json, Question
from otel_voicebot.cli.progress import Counter
from otel_voicebot.errors import UnreadableDataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_voicebot.receivers.requests import Request

__all__ = ["import_"]


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="OTLP files.", show_default=False)],
    data: Data = None,
    json: Json = False,
) -> int:
    """Take in spans and logs from OTLP files.

    They go through the same pipeline as those of a live bot. Understood are OTLP JSON (a request a line, as the
    Collector's file exporter writes it, or one document) and OTLP protobuf, each plain, gzipped or zstd-compressed.
    What can't be read is named, the rest is kept. A pipe will do (`import <(...)`, `/dev/stdin`); an empty file
    holds 0 spans.
    """
    _check(files)
    from otel_voicebot import app  # noqa: PLC0415 - not for --help

    unreadable: list[UnreadableDataError] = []
    with Counter("requests", len(files)) as counter:
        done = app.ingest(_requests(files, counter, unreadable), Question(data).settings())
    document = {
        "schema": "otel_voicebot.import/1",
        "data": str(Question(data).settings().data),
        "files": len(files),
        "spans": done.spans,
        "rejected": dict(done.rejected),
        "sessions": done.sessions,
        "logs": done.logs,
        "unreadable": [str(error) for error in unreadable],
    }
    if json:
        out.write_json(document, None)
    else:
        rejected = "".join(f", {count} rejected ({reason})" for reason, count in done.rejected.items())
        logs = f", {done.logs} log records" if done.logs else ""
        sessions = "1 session" if done.sessions == 1 else f"{done.sessions} sessions"
        out.write(f"{done.spans} spans of {sessions} imported{rejected}{logs}\n", None)
    for error in unreadable:
        out.note(f"otel-voicebot: {error}")
    return UnreadableDataError.code if unreadable else 0


def _check(files: list[Path]) -> None:
    for wrong, what in (
        ([path for path in files if not path.exists()], "no such file"),
        ([path for path in files if path.is_dir()], "is a directory, not a file"),
        ([path for path in files if path.is_socket()], "is a socket, not a file"),
    ):
        if wrong:
            raise UsageError(f"{what}: {', '.join(map(str, wrong))}")


def _requests(files: list[Path], counter: Counter, unreadable: list[UnreadableDataError]) -> "Iterator[Request]":
    """The requests of all files; a file that can't be read to its end is noted, and the next one begun."""
    from otel_voicebot.receivers import payloads  # noqa: PLC0415 - not for --help

    for path in files:
        counter.begin(path.name)
        try:
            for request in payloads(path, note=out.note):
                counter.step()
                yield request
        except UnreadableDataError as error:
            unreadable.append(error)
