"""What happens by chance in an exchange: how long each thing takes, and which of the complications it has."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

__all__ = ["MS", "Draw", "draws"]

MS: Final = 1_000_000

# median in ms, sigma of the logarithm
_TIMES: Final = {
    "endpointing": (500, 0.3),
    "stt": (300, 0.5),
    "batch_stt": (200, 0.5),
    "nlu": (90, 0.6),
    "rag": (150, 0.6),
    "cache": (15, 0.6),
    "fail": (400, 0.7),
    "pause": (120, 0.5),
    "hedge": (600, 0.3),
    "token_0": (350, 0.5),
    "token_1": (350, 0.5),
    "token_2": (350, 0.5),
    "text_0": (60, 0.5),
    "text_1": (60, 0.5),
    "text_2": (140, 0.5),
    "stream": (900, 0.6),
    "tool_0": (300, 0.7),
    "tool_1": (300, 0.7),
    "twin_0": (250, 0.7),
    "moderation": (80, 0.5),
    "tts_fail": (300, 0.6),
    "tts": (180, 0.5),
    "sentence": (700, 0.4),
    "playout": (15, 0.6),
    "background": (400, 0.8),
    "speech": (1800, 0.5),
    "reply": (2500, 0.5),
    "patience": (1500, 0.4),
    "pause_in_speech": (900, 0.2),
}
_STEPS: Final = {
    **dict.fromkeys(("hear", "ask", "call", "again", "voice_retry", "fill"), (3.0, 40.0)),
    **dict.fromkeys(("tool", "check", "hand_over"), (1.0, 4.0)),
}
"""Pauses of the bot's own code between two stages: about how long, and how long at most, in ms.

While a model streams nothing marks that a sentence or a call for a tool is complete, so no rule could tell the pause
after it from the writing: those are short.
"""

_CHANCES: Final = {
    "resumed": 0.12,
    "batch": 0.3,
    "nlu": 0.6,
    "rag": 0.5,
    "cache": 0.3,
    "hit": 0.08,
    "in_turn": 0.35,
    "tools": 0.3,
    "second_tools": 0.2,
    "twin": 0.25,
    "retry": 0.06,
    "fallback": 0.5,
    "hedge": 0.15,
    "hedge_wins": 0.5,
    "moderation": 0.1,
    "preemptive": 0.1,
    "discarded": 0.08,
    "background": 0.04,
    "marked_background": 0.08,
    "early_tts": 0.05,
    "no_token": 0.05,
    "tts_fails": 0.05,
    "sentences": 0.5,
    "fixed_filler": 0.03,
    "model_filler": 0.15,
    "barge_in": 0.1,
    "playout_span": 0.5,
    "abandoned": 0.08,
    "error": 0.3,
    "spoke_again": 0.5,
    "hung_up": 0.5,
    "spare": 0.5,
}


@dataclass(frozen=True)
class Draw:
    """What was drawn for one exchange: times in ns, and what is the case; `share` (0-1) says when a caller gives up."""

    times: Mapping[str, int]
    cases: frozenset[str]
    share: float

    def but(self, times: Mapping[str, int], cases: Collection[str] = (), without: Collection[str] = ()) -> "Draw":
        """The same exchange with other times, with and without some cases."""
        return replace(self, times={**self.times, **times}, cases=(self.cases | set(cases)) - set(without))

    def __contains__(self, case: str) -> bool:
        return case in self.cases

    def __getitem__(self, time: str) -> int:
        return self.times[time]


def draws(count: int, seed: int) -> Iterator[Draw]:
    """So many exchanges; the same seed draws the same."""
    rng = np.random.default_rng(seed)
    names, (medians, sigmas) = list(_TIMES), np.array(list(_TIMES.values())).T
    chances = np.array(list(_CHANCES.values()))
    about, longest = np.array(list(_STEPS.values())).T
    for _ in range(count):
        lengths = medians * np.exp(sigmas * rng.standard_normal(len(names)))
        steps = np.minimum(rng.exponential(about), longest)
        times = dict(
            zip((*names, *_STEPS), (np.concatenate([lengths, steps]) * MS).astype(np.int64).tolist(), strict=True)
        )
        drawn = rng.random(len(chances)) < chances
        yield Draw(
            times, frozenset(name for name, case in zip(_CHANCES, drawn, strict=True) if case), float(rng.random())
        )
