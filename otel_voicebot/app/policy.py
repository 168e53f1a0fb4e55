"""Settings to content policy, and to prices."""

from otel_voicebot.dialects import COLUMNS, DIALECTS, load
from otel_voicebot.models.pricing import Prices
from otel_voicebot.processors import Bounds, Policy
from otel_voicebot.settings import Settings

__all__ = ["policy_of", "prices_of"]


def policy_of(settings: Settings) -> Policy:
    """Which texts may be stored, how much of them, and by which names frameworks are read.

    Raises:
        UsageError: a file of the user's own names is wrong.
    """
    own = load(settings.dialects, (one.name for one in DIALECTS), COLUMNS)
    never = tuple(f"!{key}" for one in own for key in sorted(one.content))
    named = tuple(key for one in own for key in sorted(one.identifiers))
    return Policy(
        capture_content=settings.capture_content,
        keep=(*never, *settings.keep_attributes, *named),
        bounds=Bounds(settings.max_attributes, settings.max_attribute_length),
        dialects=(*own, *DIALECTS),
    )


def prices_of(settings: Settings) -> Prices:
    """What the process counts costs by.

    Raises:
        UsageError: the price file is wrong; the message names it, the field and the value.
    """
    return Prices.read(settings.prices)
