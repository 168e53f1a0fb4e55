"""The stand-in for a language model: templates, streamed word by word with the waiting times of a remote model.

It says what it is: provider `local-templates`. Its waiting times are simulated, and pass on the clock:
the spans measure them.
"""

import random
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otel_voicebot.demo.line import Pace
from otel_voicebot.demo.recordings import DATA

__all__ = ["Prompt", "TemplateModel", "passages", "replies"]

_WORD_S: Final = 0.02
_SLICE_S: Final = 0.05
_SYSTEM_WORDS: Final = 60
"""Length of the instructions that a real model would be sent with each request."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is asked to say: the name of a template and the facts in it."""

    template: str
    facts: Mapping[str, str]
    heard: str = ""

    @property
    def tokens(self) -> int:
        """Its length, in words: the stand-in's tokens."""
        return _SYSTEM_WORDS + len(self.heard.split()) + 2 * len(self.facts)


class TemplateModel:
    """One caller's model.

    ``thinks`` is the median wait before the first word in seconds; ``slower_by`` is added to the first waits, in order.
    """

    provider: Final = "local-templates"

    def __init__(self, name: str, thinks: float, pace: Pace, *, seed: str, slower_by: Sequence[float] = ()) -> None:
        self.model = name
        self._thinks = thinks
        self._pace = pace
        self._random = random.Random(seed)  # noqa: S311 - waiting times, not secrets
        self._slower_by = list(slower_by)
        self._templates = replies() | {"faq": "{passage}"}

    def text(self, prompt: Prompt) -> str:
        """The whole reply at once: for what the bot says without asking the model."""
        return self._templates[prompt.template].format(**prompt.facts)

    def stream(self, prompt: Prompt, cancelled: Callable[[], bool]) -> Iterator[str]:
        """The reply, word by word. Ends early when ``cancelled`` says so."""
        waits = self._thinks * self._random.lognormvariate(0.0, 0.35)
        waits += self._slower_by.pop(0) if self._slower_by else 0.0
        while waits > 0 and not cancelled():
            self._pace.sleep(min(waits, _SLICE_S))
            waits -= _SLICE_S
        for word in self.text(prompt).split():
            if cancelled():
                return
            yield word
            self._pace.sleep(_WORD_S)


def replies(data: Path = DATA) -> dict[str, str]:
    """The templates of the bot's replies, by name."""
    return {name: text for name, text in _file(data).items() if isinstance(text, str)}


def passages(data: Path = DATA) -> dict[str, str]:
    """The answers to common questions, by intent."""
    found: dict[str, str] = _file(data)["faq"]
    return found


def _file(data: Path) -> dict[str, Any]:
    return tomllib.loads((data / "replies.toml").read_text())
