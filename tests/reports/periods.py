"""Calls drawn by a seed: five turns each, the voice of one of two providers, waits as long as they are told to be."""

import numpy as np
import pyarrow as pa

from tests.reports.tables import cut_turns, exchange, segment, turn

FLASH, VOICE = "acme/flash", "zeta/voice"


def period(name: str, seed: int, *, calls: int = 60, flash_s: float = 0.3, flash_share: float = 0.5) -> pa.Table:
    """Turns of ``calls`` calls. The first audio of ``acme/flash`` takes ``flash_s`` in the median, others' 0.3 s.

    Every seventh call ends with a wait that the caller gave up.
    """
    random = np.random.default_rng(seed)
    rows = []
    for call in range(calls):
        voice = FLASH if random.random() < flash_share else VOICE
        provider, _, model = voice.partition("/")
        for index in range(1, 6):
            audio = (flash_s if voice == FLASH else 0.3) * random.lognormal(0, 0.2)
            token = 0.4 * random.lognormal(0, 0.4)
            parts = [
                segment("endpointing", 0.5, "endpointing.min_delay"),
                segment("llm_first_token", token, "openai/gpt"),
            ]
            if random.random() < 0.3:
                parts.append(segment("tool", 0.2, "lookup", "tool"))
            parts += [segment("tts_first_audio", audio, voice), segment("unattributed", 0.01)]
            used = {"llm_provider": "openai", "llm_model": "gpt", "tts_provider": provider, "tts_model": model}
            rows.append(exchange(f"{name}-{call}", index, *parts, **used))
        if call % 7 == 0:
            rows.append(turn(f"{name}-{call}", 6, wait_s=3.0, abandon_reason="hung_up"))
    return cut_turns(*rows)
