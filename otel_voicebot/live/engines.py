"""What a live state computes with."""

from functools import cached_property

from otel_voicebot.models.framed import PreparedCalls
from otel_voicebot.models.prepared import Prepared
from otel_voicebot.models.terms import SHORT_SESSION_S

__all__ = ["Engines"]


class Engines:
    """One is made now, the other when it is first needed: each takes a quarter of a second, and most need only one.

    They keep nothing between two computations: a live state may go on with those of another. For one thread at a time,
    except ``interrupt``.

    Args:
        short_session_s: a session abandoned before so many seconds is short.
        framed: the one for calls of frameworks is made now.
    """

    def __init__(self, short_session_s: float = SHORT_SESSION_S, *, framed: bool = False) -> None:
        self._short_session_s = short_session_s
        if framed:
            self.calls = PreparedCalls(short_session_s)
        else:
            self.turns = Prepared(short_session_s)

    @cached_property
    def turns(self) -> Prepared:
        """For spans that carry their turns."""
        return Prepared(self._short_session_s)

    @cached_property
    def calls(self) -> PreparedCalls:
        """For calls of frameworks whose spans don't."""
        return PreparedCalls(self._short_session_s)

    def _made(self) -> list[Prepared | PreparedCalls]:
        return [made for made in list(vars(self).values()) if isinstance(made, Prepared | PreparedCalls)]

    def interrupt(self) -> None:
        """Stop the query that runs, from another thread."""
        for made in self._made():
            made.interrupt()

    def close(self) -> None:
        """Free them. Idempotent."""
        for made in self._made():
            made.close()
