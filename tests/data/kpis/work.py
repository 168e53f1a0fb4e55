"""What the bot's parts did in the twelve calls, and what each piece of it cost. Standard library only."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple

from figures import seconds
from raw import Call, Span

__all__ = ["Exchange", "Work", "exchanges", "paid", "work"]

PER_SECOND, PER_CHARACTER, PER_MINUTE = Fraction("0.001"), Fraction("0.00001"), Fraction("0.01")
PER_TOKEN = {"gpt-4o-mini": (Fraction(1, 10**6), Fraction(2, 10**6))}
"""As in prices.yaml."""
COMPONENTS = {"chat": "llm", "execute_tool": "tool"} | {name: name for name in ("stt", "tts", "nlu", "cache")}


class Work(NamedTuple):
    """An operation; of a telephone line the whole call."""

    call: Call
    span: Span
    component: str

    @property
    def name(self) -> str:
        """The call's."""
        return self.call.name

    @property
    def provider(self) -> str | None:
        """Whose service it is."""
        return None if self.component == "telephony" else self.span.get("gen_ai.provider.name")

    @property
    def service(self) -> str | None:
        """Whom it is bought of."""
        return "telephony" if self.component == "telephony" else self.provider

    @property
    def model(self) -> str | None:
        """Of a line, its channel."""
        key = "voicebot.channel" if self.component == "telephony" else "gen_ai.request.model"
        told: str | None = self.span.get(key)
        return told

    @property
    def operation(self) -> str | None:
        """Which cache or tool."""
        key = {"cache": "voicebot.cache.name", "tool": "gen_ai.tool.name"}.get(self.component)
        return self.span.get(key) if key else None

    @property
    def hit(self) -> bool | None:
        """Of a lookup; None where it doesn't tell."""
        told: bool | None = self.span.get("voicebot.cache.hit")
        return told

    @property
    def seconds(self) -> Fraction:
        """How long it took."""
        return seconds(self.span.end - self.span.start)

    @property
    def begun(self) -> datetime:
        """When."""
        return datetime.fromtimestamp(self.span.start // 10**9, UTC)

    @property
    def tokens(self) -> int | None:
        """Of prompt and answer together; None where it doesn't tell."""
        told = [self.span.get(f"gen_ai.usage.{way}_tokens") for way in ("input", "output")]
        return None if told == [None, None] else sum(one or 0 for one in told)

    @property
    def audio(self) -> Fraction | None:
        """Seconds heard; of a line, its call's."""
        if self.component == "telephony":
            return self.seconds
        heard = self.span.get("voicebot.audio.duration")
        return None if heard is None else Fraction(str(heard))

    @property
    def price(self) -> Fraction | None:
        """USD; None where price or use is unknown."""
        if self.component == "telephony":
            return PER_MINUTE * self.seconds / 60
        if self.component == "stt":
            return None if self.audio is None else PER_SECOND * self.audio
        if self.component == "tts":
            return PER_CHARACTER * Fraction(self.span.get("voicebot.tts.characters"))
        price = PER_TOKEN.get(self.model or "")
        if price is None or self.tokens is None:
            return None
        ins, outs = (Fraction(self.span.get(f"gen_ai.usage.{way}_tokens")) for way in ("input", "output"))
        return price[0] * ins + price[1] * outs


def work(calls: list[Call]) -> list[Work]:
    """Every operation."""
    found = [
        (call, span, COMPONENTS.get(span.name.removeprefix("voicebot.").split()[0]))
        for call in calls for span in call.spans
    ]  # fmt: skip
    return [Work(call, span, component) for call, span, component in found if component]


def paid(calls: list[Call]) -> list[Work]:
    """What is paid for: speech, language, and telephone lines."""
    found = [one for one in work(calls) if one.component in ("stt", "llm", "tts")]
    lines = [Work(call, call.root, "telephony") for call in calls if call.root.get("voicebot.channel") == "phone"]
    return found + lines


class Exchange(NamedTuple):
    """A turn; the gap is None where the bot never spoke."""

    call: Call
    turn: int
    start: int
    gap: Fraction | None


def exchanges(calls: list[Call]) -> list[Exchange]:
    """Every turn."""
    found = []
    for call in calls:
        for span in call.named("turn"):
            at = {name: nano for name, nano, _ in span.events}
            spoke = at.get("voicebot.bot.speech.start")
            gap = None if spoke is None else seconds(spoke - at["voicebot.user.speech.end"])
            found.append(Exchange(call, span.get("voicebot.turn.index"), span.start, gap))
    return found
