"""A real voicebot that runs offline: spoken calls to a bank, held in real time (extra ``demo``).

Real: the callers' audio (recorded from flite), endpointing and recognition (pocketsphinx), intents (scikit-learn), the
semantic cache, the bot's voice (flite or espeak-ng), all times. Simulated, and said so: the callers' behaviour and
ratings, the language model (`local-templates`: templates with the waiting times of a remote one), the bank's systems.
"""

from otel_voicebot.demo.results import (
    CallEnded,
    CallResult,
    CallStarted,
    DemoResult,
    OnProgress,
    Progress,
    TurnDone,
    Utterance,
)
from otel_voicebot.demo.run import run

__all__ = [
    "CallEnded",
    "CallResult",
    "CallStarted",
    "DemoResult",
    "OnProgress",
    "Progress",
    "TurnDone",
    "Utterance",
    "run",
]
