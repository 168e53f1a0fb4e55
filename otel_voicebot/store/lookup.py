"""Finds the few files that may hold a trace or a session, or spans of a time, by what each says about itself."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from otel_voicebot.store import disk
from otel_voicebot.store.contents import Contents, contents_of, key_of
from otel_voicebot.store.reader import Choice

__all__ = ["Lookup"]

_MOST_BYTES: Final = 64 << 20
_ENTRY_BYTES: Final = 500

Known = tuple[tuple[int, int] | None, Contents | None]


class Lookup:
    """Remembers what files say about themselves. One may be shared by threads; a command makes its own.

    What is remembered is of files that never change: a hot file's name is given once, and a file of history is known by
    its identity too, as an hour that is merged or rewritten takes the former's name.

    Args:
        most_bytes: memory that this may take; beyond, what was needed the longest time ago is read again.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most_bytes
        self._known: OrderedDict[str, Known] = OrderedDict()
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
        def picked(paths: list[str], *, replaced: bool) -> list[str]:
            return [
                path
                for path in paths
                if (contents := self._contents(path, replaced=replaced)) is None or wanted(contents)
            ]

        return lambda hot, history: (picked(hot, replaced=False), picked(history, replaced=True))

    def _contents(self, path: str, *, replaced: bool) -> Contents | None:
        """None: it may hold anything; so does a file that is gone, which the reader finds out."""
        identity = disk.identity(Path(path)) if replaced else None
        with self._lock:
            found = self._known.get(path)
            if found is not None and found[0] == identity:
                self._known.move_to_end(path)
                return found[1]
        try:
            contents = contents_of(Path(path))
        except FileNotFoundError:
            return None
        self._remember(path, (identity, contents))
        return contents

    def _remember(self, path: str, known: Known) -> None:
        with self._lock:
            if (former := self._known.pop(path, None)) is not None:
                self._bytes -= _cost(former)
            self._known[path] = known
            self._bytes += _cost(known)
            while self._bytes > self._most:
                _, oldest = self._known.popitem(last=False)
                self._bytes -= _cost(oldest)


def _cost(known: Known) -> int:
    contents = known[1]
    return _ENTRY_BYTES + (contents.keys.nbytes if contents is not None and contents.keys is not None else 0)
