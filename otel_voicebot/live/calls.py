"""One call and one turn that are under way: where their spans lie, and what was computed of them."""

from dataclasses import dataclass, field

from otel_voicebot.live.framed import Whole
from otel_voicebot.live.rows import Part

__all__ = ["OpenSession", "OpenTurn", "Place"]

Place = tuple[str, int]
"""A turn: its session's id, and its index there."""


@dataclass(slots=True)
class OpenTurn:
    """A turn of an open session."""

    parts: tuple[Part, ...] = ()
    """Where its spans lie: see ``Rows``. Tuples of numbers and arrays, which the garbage collector needn't look at."""
    counted: int = 0
    """How many of the parts have been fed to metrics, where the turn was final."""
    row: Part | None = None
    """Where its own row lies, once it was computed."""
    revision: int = 0
    scheduled: bool = False
    renamed: bool = False
    """Its row was written while its session was known by the trace id only: it has to be written again."""

    @property
    def unseen(self) -> bool:
        """Whether it has spans that no computation has seen, or was computed under another name."""
        return self.renamed or self.counted < len(self.parts)

    def absorb(self, other: "OpenTurn") -> None:
        """Take over another's parts, what was counted first, so that nothing is counted again."""
        counted = self.parts[: self.counted] + other.parts[: other.counted]
        self.parts = counted + self.parts[self.counted :] + other.parts[other.counted :]
        self.counted = len(counted)
        self.renamed |= other.revision > 0
        self.revision = max(self.revision, other.revision)


@dataclass(slots=True)
class OpenSession:
    """A session whose spans are held: under way, or counted because it fell silent."""

    id: str
    seen: float
    bot: str = ""
    explicit: bool = False
    """Some span carries the id; else it is the trace id."""
    ended: bool = False
    scheduled: bool = False
    """When it is final is noted."""
    operations: int = 0
    """How many were fed to metrics."""
    revision: int = 0
    """How many rows of it were written; above 0 it is counted, and what comes is late."""
    turns: dict[int, OpenTurn] = field(default_factory=dict)
    facts: list[Part] = field(default_factory=list)
    """Where the spans lie that the session's own row needs; the rest it has from its turns."""
    whole: Whole | None = None
    """It is a framework's, whose spans don't carry their turns: all of them lie in turn 0 and are computed together."""

    def gather(self) -> Whole:
        """From now on it is computed whole. A turn that was counted has a row, though nobody remembers what it said."""
        whole = self.whole = Whole()
        loose = self.turns.pop(0, OpenTurn())
        for index, turn in self.turns.items():
            if turn.revision:
                whole.revisions[index] = turn.revision
                whole.rows[index] = {}
            loose.parts += turn.parts
        self.turns = {0: loose}
        return whole
