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
Check = Callable[[], object]


def _nothing() -> None:
    pass


class Lookup:
    """Remembers what files say about themselves. One may be shared by threads; a command makes its own.

    What is remembered is of files that never change: a hot file's name is given once, and a file of history is known by
    its identity too, as an hour that is merged or rewritten takes the former's name.

    Args:
        most_bytes: memory that this may take; what is beyond is read again every time. (Every question goes through all
            files: whichever were forgotten instead, the next question would read them all again.)
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most_bytes
        self._known: dict[str, Known] = {}
        self._bytes = 0
        self._full = False
        self._lock = threading.Lock()

    def holding(self, names: Collection[str], before_each: Check = _nothing) -> Choice:
        """Files that may hold any of these traces (ids as 32 lowercase hex digits) or sessions.

        ``before_each`` is called before a file is read that isn't remembered; what it raises ends the choice.
        """
        keys = [key_of(name) for name in names]
        return self._choice(lambda contents: contents.holds(keys), before_each)

    def between(self, first: int, last: int, before_each: Check = _nothing) -> Choice:
        """Files that may hold spans that start from ``first`` to ``last``, nanoseconds since 1970; else likewise."""
        return self._choice(lambda contents: contents.overlaps(first, last), before_each)

    def _choice(self, wanted: Callable[[Contents], bool], before_each: Check) -> Choice:
        def choose(hot: list[str], history: list[str]) -> tuple[list[str], list[str]]:
            picked = (
                self._picked(hot, wanted, before_each, lambda _: None),
                self._picked(history, wanted, before_each, disk.identity),
            )
            if self._full:
                self._forget_all_but({*hot, *history})
            return picked

        return choose

    def _picked(
        self,
        paths: Iterable[str],
        wanted: Callable[[Contents], bool],
        before_each: Check,
        identify: Callable[[str], Identity | None],
    ) -> list[str]:
        picked = []
        for path in paths:
            identity = identify(path)
            known = self._known.get(path)  # without the lock: one step of the interpreter
            if known is None or known[0] != identity:
                before_each()
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
            self._forget(path)
            if self._bytes + _cost(known) > self._most:
                self._full = True
            else:
                self._known[path] = known
                self._bytes += _cost(known)
        return known

    def _forget_all_but(self, listed: set[str]) -> None:
        with self._lock:
            self._full = False
            for path in self._known.keys() - listed:
                self._forget(path)

    def _forget(self, path: str) -> None:
        if (former := self._known.pop(path, None)) is not None:
            self._bytes -= _cost(former)


def _cost(known: Known) -> int:
    contents = known[1]
    return _ENTRY_BYTES + (contents.keys.itemsize * len(contents.keys) if contents and contents.keys else 0)
