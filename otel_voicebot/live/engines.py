"""What a live state computes with."""

from functools import cached_property

from otel_voicebot.models.framed import PreparedCalls
from otel_voicebot.models.prepared import Prepared
from otel_voicebot.models.terms import SHORT_SESSION_S

__all__ = ["Engines"]


class Engines:
    """One for each kind of calls: one is made now, the other when it is needed. It takes a quarter of a second each.

    They keep nothing between two computations: a live state may go on with those of another. For one thread at a time,
    except ``interrupt``.

    Args:
        short_session_s: a session abandoned before so many seconds is short.
        framed: the one that is made now is that for calls of frameworks.
    """

    def __init__(self, short_session_s: float = SHORT_SESSION_S, *, framed: bool = False) -> None:
        self._short_session_s = short_session_s
        if framed:
            self.framed = PreparedCalls(short_session_s)
        else:
            self.own = Prepared(short_session_s)

    @cached_property
    def own(self) -> Prepared:
        """For spans that carry their turns."""
        return Prepared(self._short_session_s)

    @cached_property
    def framed(self) -> PreparedCalls:
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
