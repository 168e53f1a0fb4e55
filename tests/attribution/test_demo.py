"""The bank bot, live, with two seconds more in one of its parts: it is named."""

from collections import defaultdict
from typing import Any

import pytest

from tests.attribution import bank

pytest.importorskip("pocketsphinx", reason="the extra demo is not installed")

pytestmark = pytest.mark.slow

NAMED = {
    "endpointing": ("endpointing", "setting", "endpointing"),
    "stt": ("stt_tail", "service", "pocketsphinx/en-us"),
    "nlu": ("nlu", "service", "scikit-learn/tfidf-logistic"),
    "cache": ("orchestration", "bot", "bot code"),
    "rag": ("rag", "service", "scikit-learn/tfidf-cosine"),
    "tool": ("tool", "tool", "look_up_balance"),
    "llm": ("llm_first_token", "service", "local-templates/templates-large"),
    "llm_text": ("llm_speakable", "service", "local-templates/templates-large"),
    "tts": ("tts_first_audio", "service", "espeak-ng/en-us"),
    "playout": ("playout_start", "transport", "transport"),
}
"""Part that is slower: its segment, its owner's kind, its owner."""
EXCHANGES = {"cache": 1, "rag": 1, "tool": 1, "llm_text": 2}
"""In how many exchanges of its call the part is used, where not in all; the goodbye asks no model."""


@pytest.fixture(scope="module")
def waits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[dict[str, Any]]]]:
    """By the part that is slower, the segments of each exchange of its call. Audio runs eight times as fast."""
    sessions, spans = bank.calls(speed=8.0)
    slow = {session: part for part, session in sessions.items()}
    found: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in bank.segments(tmp_path_factory.mktemp("bank"), spans):
        found[slow[row["session_id"]], row["turn_index"]].append(row)
    waits: dict[str, list[list[dict[str, Any]]]] = {part: [] for part in bank.PARTS}
    for part, _ in sorted(found):
        waits[part] = [rows for (named, _), rows in sorted(found.items()) if named == part]
    return waits


def _seconds(row: dict[str, Any]) -> float:
    seconds: float = (row["end_nano"] - row["start_nano"]) / 1e9
    return seconds


@pytest.mark.parametrize("part", bank.PARTS)
def test_the_slower_part_is_named(waits: dict[str, list[list[dict[str, Any]]]], part: str) -> None:
    """In each exchange that uses the part it has the largest segment, of two seconds at least, and it is its owner.

    Recognition is real and shared by all calls, and slow of itself on a busy machine: only in its own call it counts.
    """
    segment, kind, owner = NAMED[part]
    slow = [rows for rows in waits[part] if any(row["segment"] == segment and _seconds(row) > 1.9 for row in rows)]
    assert len(slow) >= EXCHANGES.get(part, 2)
    for rows in waits[part]:
        others = [row for row in rows if part == "stt" or row["segment"] != "stt_tail"]
        if others and max(map(_seconds, others)) > 1.9:
            longest = max(others, key=_seconds)
            assert (longest["segment"], longest["owner_kind"], longest["owner"]) == (segment, kind, owner)


def test_almost_nothing_is_nobodys(waits: dict[str, list[list[dict[str, Any]]]]) -> None:
    """Less than 5 % of all waits is unattributed, and each such hole names the stages around it."""
    rows = [row for found in waits.values() for exchange in found for row in exchange]
    nobodys = [row for row in rows if row["segment"] == "unattributed"]
    assert sum(map(_seconds, nobodys)) < 0.05 * sum(map(_seconds, rows))
    assert all(row["detail"] for row in nobodys)
