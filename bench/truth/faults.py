"""Exchanges in which one thing takes longer, or no time at all, and the cause that has to show it."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from bench.truth.draws import MS, Draw

__all__ = ["CULPRITS", "SLOWER", "STAGES", "Culprit", "slower"]

SLOWER: Final = 2000 * MS


class Culprit(NamedTuple):
    """What is made slower: its time in the draw, the cases it needs and those that would hide it, its cause."""

    time: str
    needs: tuple[str, ...]
    without: tuple[str, ...]
    segment: str
    stage: str | None


_SPOKEN: Final = ("fixed_filler", "model_filler", "hit")
CULPRITS: Final = {
    "endpointing": Culprit("endpointing", (), (), "endpointing", None),
    "stt": Culprit("batch_stt", ("batch",), (), "stt_tail", "stt"),
    "nlu": Culprit("nlu", ("nlu",), ("fixed_filler", "preemptive"), "nlu", "nlu"),
    "rag": Culprit("rag", ("rag",), ("fixed_filler", "preemptive"), "rag", "rag"),
    "cache": Culprit("cache", ("cache",), ("fixed_filler", "preemptive"), "orchestration", None),
    "tool": Culprit("tool_0", ("tools",), (*_SPOKEN, "preemptive"), "tool", "tool 0"),
    "failed call": Culprit("fail", ("retry",), (*_SPOKEN, "preemptive", "tools"), "llm_first_token", None),
    "first token": Culprit("token_2", (), (*_SPOKEN, "hedge"), "llm_first_token", "llm 2"),
    "speakable text": Culprit("text_2", (), (*_SPOKEN, "hedge"), "llm_speakable", "llm 2"),
    "moderation": Culprit("moderation", ("moderation",), _SPOKEN, "tool", "moderation"),
    "tts": Culprit("tts", (), _SPOKEN, "tts_first_audio", "tts"),
    "playout": Culprit("playout", (), (), "playout_start", None),
}
"""By the name of what is slower."""

STAGES: Final[dict[str, tuple[tuple[str, str | None], ...]]] = {
    "endpointing": (("endpointing", None),),
    "stt": (("stt_tail", "stt"),),
    "batch_stt": (("stt_tail", "stt"),),
    "nlu": (("nlu", "nlu"),),
    "rag": (("rag", "rag"),),
    "cache": (("orchestration", "cache"),),
    "token_0": (("llm_first_token", "llm 0"),),
    "text_0": (("llm_speakable", "llm 0"),),
    "tool_0": (("tool", "tool 0"),),
    "twin_0": (("tool", "twin 0"),),
    "token_1": (("llm_first_token", "llm 1"),),
    "text_1": (("llm_speakable", "llm 1"),),
    "tool_1": (("tool", "tool 1"),),
    "token_2": (("llm_first_token", "llm 2"),),
    "text_2": (("llm_speakable", "llm 2"),),
    "moderation": (("tool", "moderation"),),
    "tts_fail": (("tts_first_audio", "failed tts"),),
    "tts": (("tts_first_audio", "tts"), ("tts_first_audio", "filler")),
    "playout": (("playout_start", None),),
}
"""Times of a draw, and the segments and stages that they are spent in."""


def slower(culprit: Culprit, draws: Iterable[Draw], by: int = SLOWER) -> Iterator[Draw]:
    """The same exchanges, answered, with the culprit in each, slower."""
    for draw in draws:
        yield draw.but({culprit.time: draw[culprit.time] + by}, culprit.needs, (*culprit.without, "abandoned"))
