"""Breaks off what an engine does."""

import threading
from collections.abc import Callable
from typing import Final

import duckdb

__all__ = ["Watch"]

_LOOK_S: Final = 0.1


class Watch:
    """Breaks off what a connection does, once somebody says so.

    Args:
        connection: what is broken off.
        given_up: asked ten times a second; True: break off.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, given_up: Callable[[], bool]) -> None:
        self.fired = False
        """It was broken off."""
        self._connection = connection
        self._given_up = given_up
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="otel-voicebot-watch", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            if self._given_up():
                self.fired = True
                self._connection.interrupt()  # again and again: between two queries it stops nothing

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()
