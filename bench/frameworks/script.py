"""What the caller does."""

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["AGENTS", "CALL", "GREETING", "PLAIN", "SCRIPTS", "SHORT", "STT_SLOWER", "TOOL_SLOWER", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """The caller says something, then waits.

    Attributes:
        text: what the recogniser makes of it.
        speech_s: seconds of speech.
        then: `answered`: until the bot has answered and is silent; `talking`: until it talks, and ``wait_s`` more, so
            that the next step interrupts it; `unanswered`: no answer is to come, for ``wait_s``.
        wait_s: see ``then``.
    """

    text: str
    speech_s: float
    then: Literal["answered", "talking", "unanswered"] = "answered"
    wait_s: float = 0.0


GREETING: Final = "Welcome to the demo line."
CALL: Final = (
    Step("hello I need some help", 1.0),
    Step("what is the weather in Paris", 1.2),
    Step("tell me a long story", 0.9, "talking", 1.5),
    Step("please stop that", 0.8),
    Step("now break please", 0.8, "unanswered", 3.0),
    Step("good bye then", 0.8),
)
"""A plain turn, one with a tool, one that is interrupted, the interruption's own, one that fails, a goodbye."""
PLAIN: Final = (
    Step("hello I need some help", 1.0),
    Step("hello once more please", 0.9),
    Step("good bye then", 0.8),
)
AGENTS: Final = (*CALL[:-1], Step("transfer me to billing", 1.0), CALL[-1])
"""The same, with another agent that takes over before the end."""
SHORT: Final = CALL[:2]
"""A plain turn and one with a tool."""
SCRIPTS: Final = {"call": CALL, "agents": AGENTS, "plain": PLAIN, "short": SHORT}
TOOL_SLOWER: Final = "BOT_TOOL_SLOWER_S"
"""Environment of a bot: seconds more that its tool takes."""
STT_SLOWER: Final = "BOT_STT_SLOWER_S"
"""The same of a recogniser that stands in, which LiveKit's does."""
