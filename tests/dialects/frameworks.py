"""Rows of the captures, and of spans made by hand, as the processors leave them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from otel_voicebot.dialects import DIALECTS, Dialect
from otel_voicebot.processors import normalise
from otel_voicebot.spans import decode
from tests.processors.batches import Made, batch

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
NAMES = ("pipecat", "pipecat_1_0_0", "livekit", "openai_otel", "openinference")


def payload(name: str) -> bytes:
    """One capture, as it was received."""
    return (CAPTURES / f"{name}.otlp.pb").read_bytes()


def rows_of(*spans: Made, dialects: Sequence[Dialect] = DIALECTS) -> list[dict[str, Any]]:
    """The rows of these spans, normalised."""
    return _plain(normalise(batch(*spans), dialects).rows(0).to_pylist())


def captured(name: str) -> list[dict[str, Any]]:
    """The rows of a capture, normalised."""
    return _plain(normalise(decode(payload(name))).rows(0).to_pylist())


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "left": {**dict(row["attributes"]), **dict(row["attributes_typed"])}} for row in rows]
