"""Finds the few files that may hold a trace or a session, or spans of a time, by what each says about itself."""

import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

from otel_voicebot.store import disk
from otel_voicebot.store.contents import Contents, contents_of, key_of
from otel_voicebot.store.reader import Choice

__all__ = ["Lookup"]

_MOST_BYTES: Final = 64 << 20
_ENTRY_BYTES: Final = 500

Identity = tuple[int, int]
Known = tuple[Identity | None, Contents | None]
"""What a file is known by, and what it said."""


class Lookup:
    """Remembers what files say about themselves. One may be shared by threads; a command makes its own.

    What is remembered is of files that never change: a hot file's name is given once, and a file of history is known by
    its identity too, as an hour that is merged or rewritten takes the former's name.

    Args:
        most_bytes: memory that this may take; beyond, what was read the longest time ago is forgotten.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most_bytes
        self._known: dict[str, Known] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def holding(self, names: Collection[str]) -> Choice:
        """Files that may hold any of these traces (ids as 32 lowercase hex digits) or sessions."""
        keys = [key_of(name) for name in names]
        return self._choice(lambda contents: contents.holds(keys))

    def between(self, first: int, last: int) -> Choice:
        """Files that may hold spans that start from ``first`` to ``last``, nanoseconds since 1970."""
        return self._choice(lambda contents: contents.overlaps(first, last))

    def _choice(self, wanted: Callable[[Contents], bool]) -> Choice:
        def choose(hot: list[str], history: list[str]) -> tuple[list[str], list[str]]:
            return self._picked(hot, wanted), self._picked(history, wanted, disk.identity)

        return choose

    def _picked(
        self,
        paths: Iterable[str],
        wanted: Callable[[Contents], bool],
        identify: Callable[[str], Identity | None] = lambda _: None,
    ) -> list[str]:
        picked = []
        for path in paths:
            identity = identify(path)
            known = self._known.get(path)  # without the lock: one step of the interpreter
            if known is None or known[0] != identity:
                known = self._read(path, identity)
            if known[1] is None or wanted(known[1]):
                picked.append(path)
        return picked

    def _read(self, path: str, identity: Identity | None) -> Known:
        try:
            known = (identity, contents_of(Path(path)))
        except FileNotFoundError:  # the reader finds that out, too
            return (None, None)
        with self._lock:
            if (former := self._known.pop(path, None)) is not None:
                self._bytes -= _cost(former)
            self._known[path] = known
            self._bytes += _cost(known)
            while self._bytes > self._most:
                self._bytes -= _cost(self._known.pop(next(iter(self._known))))
        return known


def _cost(known: Known) -> int:
    contents = known[1]
    return _ENTRY_BYTES + (contents.keys.itemsize * len(contents.keys) if contents and contents.keys else 0)
