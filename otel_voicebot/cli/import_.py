"""``otel-voicebot import``."""

import gc
import signal
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.options import Data, Json, Question
from otel_voicebot.cli.progress import Counter
from otel_voicebot.errors import UnreadableDataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_voicebot.app.ingest import Ingested
    from otel_voicebot.receivers.requests import Request

__all__ = ["import_"]


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="OTLP files.", show_default=False)],
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on reading as the files grow, until Ctrl-C; remembers how far it got.")
    ] = False,
    outcomes: Annotated[
        bool, typer.Option("--outcomes", help="The files are tables of late outcomes (CSV or Parquet), not OTLP.")
    ] = False,
    data: Data = None,
    json: Json = False,
) -> int:
    """Take in spans and logs from OTLP files, or late outcomes from tables.

    They go through the same pipeline as those of a live bot. Understood are OTLP JSON (a request a line, as the
    Collector's file exporter writes it, or one document) and OTLP protobuf, each plain, gzipped or zstd-compressed.
    What can't be read is named, the rest is kept. A pipe will do (`import <(...)`, `/dev/stdin`); an empty file
    holds 0 spans.

    With `--follow` the files are what the Collector's file exporter is writing: rotated and truncated ones are
    understood, a missing one is waited for, and nothing is stored twice, also after a kill.

    With `--outcomes` each row is a late fact of a session that is there already: `session_id`, at least one of `csat`
    (1 to 5), `nps` (0 to 10), `outcome` and `callback` (yes or no), and `time` where it isn't now. Reports count them
    from then on; a row that is imported again changes nothing. A wrong row is named with its value, the rest is kept.
    """
    if follow and outcomes:
        msg = "choose --follow or --outcomes: a table of outcomes isn't followed"
        raise UsageError(msg)
    _check(files, follow=follow)
    from otel_voicebot.app.following import follow as followed  # noqa: PLC0415 - not for --help
    from otel_voicebot.app.ingest import ingest  # noqa: PLC0415

    unreadable: list[str] = []
    settings = Question(data).settings()
    with _quick_collections():
        if follow:
            with _stopped_by_signals() as stop:
                out.note(f"following {', '.join(map(str, files))}; Ctrl-C ends it")
                done = followed(files, settings, stop, _told(unreadable))
        else:
            with Counter("requests", len(files)) as counter:
                opened = _tables(settings.data) if outcomes else _spans
                done = ingest(_requests(files, opened, counter, unreadable), settings)
    document = {
        "schema": "otel_voicebot.import/1",
        "data": str(settings.data),
        "files": len(files),
        "spans": done.spans,
        "rejected": dict(done.rejected),
        "repeated": done.repeated,
        "sessions": done.sessions,
        "logs": done.logs,
        "unreadable": unreadable,
    }
    if json:
        out.write_json(document, None)
    else:
        out.write(_sentence(done), None)
    if not follow:
        for text in unreadable:
            out.note(f"otel-voicebot: {text}")
    return UnreadableDataError.code if unreadable else 0


def _told(unreadable: list[str]) -> "Callable[[str], None]":
    def tell(text: str) -> None:
        unreadable[:] = [*unreadable[-99:], text]
        out.note(f"otel-voicebot: {text}")

    return tell


def _sentence(done: "Ingested") -> str:
    rejected = "".join(f", {count} rejected ({reason})" for reason, count in done.rejected.items())
    repeated = f", {done.repeated} were there already" if done.repeated else ""
    logs = f", {done.logs} log records" if done.logs else ""
    sessions = "1 session" if done.sessions == 1 else f"{done.sessions} sessions"
    return f"{done.spans} spans of {sessions} imported{rejected}{repeated}{logs}\n"


@contextmanager
def _quick_collections() -> "Iterator[None]":
    """What is loaded stays: the collector need not look at it each time that a document is read."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _stopped_by_signals() -> "Iterator[Event]":
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C has its usual effect."""
    stop = Event()

    def end(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check(files: list[Path], *, follow: bool) -> None:
    for wrong, what in (
        ([path for path in files if not (path.parent if follow else path).exists()], "no such file"),
        ([path for path in files if follow and path.is_fifo()], "is a pipe, which can't be followed"),
        ([path for path in files if path.is_dir()], "is a directory, not a file"),
        ([path for path in files if path.is_socket()], "is a socket, not a file"),
    ):
        if wrong:
            raise UsageError(f"{what}: {', '.join(map(str, wrong))}")


def _spans(path: Path) -> "Iterator[Request]":
    from otel_voicebot.receivers import payloads  # noqa: PLC0415 - not for --help

    return payloads(path, note=out.note)


def _tables(data: Path) -> "Callable[[Path], Iterator[Request]]":
    from otel_voicebot.receivers import outcomes  # noqa: PLC0415 - not for --help

    now = datetime.now(UTC)
    return lambda path: outcomes(path, data, now, out.note)


def _requests(
    files: list[Path], opened: "Callable[[Path], Iterator[Request]]", counter: Counter, unreadable: list[str]
) -> "Iterator[Request]":
    """The requests of all files; a file that can't be read to its end is noted, and the next one begun."""
    for path in files:
        counter.begin(path.name)
        try:
            for request in opened(path):
                counter.step()
                yield request
        except UnreadableDataError as error:
            unreadable.append(str(error))
