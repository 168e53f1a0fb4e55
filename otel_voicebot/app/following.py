"""Growing files into the store, each span once however often we are killed.

Order: rows are committed, then a note says how far each file was read. Killed in between, what was committed last is
read again; the dedupe window, rebuilt from the store, knows it.
"""

import dataclasses
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Final

from otel_voicebot.app.ingest import Ingested, Ingestion
from otel_voicebot.errors import CannotStartError, UnreadableDataError, UsageError
from otel_voicebot.receivers.follow import Follower, Position
from otel_voicebot.settings import Settings
from otel_voicebot.store import Window, disk

__all__ = ["follow"]

_POLL_S: Final = 0.25


def follow(paths: Sequence[Path], settings: Settings, stop: Event, tell: Callable[[str], None]) -> Ingested:
    """Read growing files until ``stop`` is set; when it returns all that was read is durable.

    Args:
        paths: files as the Collector's file exporter writes them; one that is missing is waited for.
        settings: ``commit_rows`` and ``commit_interval`` say when what was read is committed.
        stop: ends it, after one more look at the files.
        tell: is told in a sentence what is damaged.

    Returns:
        what was done.

    Raises:
        CannotStartError: the data directory can't be written to.
        UsageError: a file can't be followed.
        UnreadableDataError: a file is damaged so that its rest can't be read. What came before is committed.
    """
    window = Window(max(settings.dedupe_window, 2 * settings.commit_interval))
    ingestion = Ingestion(settings, window)
    window.rebuild(settings.data)
    notes = _Notes(settings.data)
    followers = [Follower(path, notes.read(path), tell) for path in paths]
    committed = time.monotonic()
    try:
        while True:
            found = sum(_take(follower, ingestion, tell) for follower in followers)
            if stop.is_set():
                break
            now = time.monotonic()
            due = ingestion.waiting >= settings.commit_rows or now - committed >= settings.commit_interval
            if due:
                _commit(ingestion, followers, notes)
                committed = now
            if not found:
                stop.wait(_POLL_S)
        _commit(ingestion, followers, notes)
    except (UsageError, UnreadableDataError):  # of a file; all that was read of it and of others was added
        _commit(ingestion, followers, notes)
        raise
    finally:
        # After any other error (a second Ctrl-C) some of what was read may not be added: it is read again next time.
        for follower in followers:
            follower.close()
    return ingestion.done()


def _take(follower: Follower, ingestion: Ingestion, tell: Callable[[str], None]) -> int:
    """Take what a file has to give; how many requests that is."""
    requests = follower.read()
    for error in ingestion.add(requests):
        tell(f"{follower.path}: {error}; the rest is read")
    return len(requests)


def _commit(ingestion: Ingestion, followers: Sequence[Follower], notes: "_Notes") -> None:
    ingestion.flush()
    for follower in followers:
        notes.write(follower.path, follower.position())


class _Notes:
    """How far files were read: ``<data>/import/<name>.json``, one a file."""

    def __init__(self, data: Path) -> None:
        self._directory = data.absolute() / "import"
        self._written: dict[Path, Position | None] = {}

    def read(self, path: Path) -> Position | None:
        """Where to go on; None for a file that was never read. A note that can't be read is none: nothing is lost."""
        content = disk.read(self._name(path))
        try:
            return Position(**json.loads(content)["position"]) if content is not None else None
        except (ValueError, TypeError, KeyError):
            return None

    def write(self, path: Path, position: Position | None) -> None:
        """Remember it durably, where it is new."""
        if position is None or self._written.get(path) == position:
            return
        note = {"path": str(path.absolute()), "position": dataclasses.asdict(position)}
        name = self._name(path)
        try:
            disk.make(self._directory)
            tmp = name.with_name(f"{name.stem}-{secrets.token_hex(8)}.tmp")
            disk.write_durable(name, tmp, json.dumps(note).encode())
        except OSError as error:
            raise CannotStartError(f"can't write {name}: {error.strerror or error}") from error
        self._written[path] = position

    def _name(self, path: Path) -> Path:
        digest = hashlib.sha256(str(path.absolute()).encode()).hexdigest()
        return self._directory / f"{digest[:16]}.json"
