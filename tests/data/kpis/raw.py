"""The raw spans of the twelve calls, and what of a call follows from them at once. Standard library only."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

__all__ = ["Call", "Span", "read"]

SHORT_S = 5


class Span(NamedTuple):
    """One span as its raw JSON says; times in nanoseconds."""

    name: str
    start: int
    end: int
    failed: bool
    values: dict[str, Any]
    events: list[tuple[str, int, dict[str, Any]]]

    def get(self, key: str) -> Any:
        """An attribute; None where there is none."""
        return self.values.get(key)


class Call(NamedTuple):
    """One call's spans, and what follows from them."""

    name: str
    spans: list[Span]

    def named(self, *names: str) -> list[Span]:
        """Spans whose name begins with one of these words, with or without ``voicebot.``."""
        return [span for span in self.spans if span.name.removeprefix("voicebot.").split()[0] in names]

    @property
    def root(self) -> Span:
        """The session's own span."""
        return self.named("session")[0]

    @property
    def seconds(self) -> Fraction:
        """Its length."""
        return Fraction(self.root.end - self.root.start, 10**9)

    @property
    def start(self) -> datetime:
        """When it began."""
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(microseconds=self.root.start // 1000)

    @property
    def end(self) -> datetime:
        """When it ended."""
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(microseconds=self.root.end // 1000)

    @property
    def asked_for_human(self) -> bool:
        """It was handed to a human, unplanned."""
        handoffs = self.named("handoff")
        return any(
            one.get("voicebot.handoff.target") == "human" and not one.get("voicebot.handoff.planned")
            for one in handoffs
        )

    @property
    def planned(self) -> bool:
        """It holds a planned handoff."""
        return any(one.get("voicebot.handoff.planned") for one in self.named("handoff"))

    @property
    def outcome(self) -> str:
        """As reported, else as its handoffs say."""
        return self.root.get("voicebot.session.outcome") or ("escalated" if self.asked_for_human else "unknown")

    @property
    def short(self) -> bool:
        """Given up before 5 s."""
        return self.outcome == "abandoned" and self.seconds < SHORT_S

    @property
    def eligible(self) -> bool:
        """Neither short nor handed over as planned."""
        return not self.short and not self.planned

    @property
    def contained(self) -> bool:
        """The bot kept it, and nobody ran away."""
        return self.eligible and not self.asked_for_human and self.outcome not in ("abandoned", "failed", "escalated")

    @property
    def issue(self) -> tuple[str, str] | None:
        """Caller and intent; None where one is unknown."""
        intents = [one.get("voicebot.intent.name") for one in self.named("nlu")]
        intent = self.root.get("voicebot.session.intent") or next((one for one in intents if one), None)
        caller = self.root.get("user.hash")
        return (caller, intent) if caller and intent else None

    def score(self, key: str) -> int | None:
        """The last survey answer."""
        found = [
            (at, values[key])
            for span in self.spans
            for name, at, values in span.events
            if name == "voicebot.feedback" and key in values
        ]
        found += [(span.end, span.get(key)) for span in self.named("feedback") if span.get(key) is not None]
        return max(found)[1] if found else None

    def tracked(self, name: str) -> int:
        """How many such events."""
        return sum(event == f"voicebot.event.{name}" for span in self.spans for event, _, _ in span.events)


def plain(value: dict[str, Any]) -> Any:
    """A value of OTLP JSON."""
    ((kind, found),) = value.items()
    return int(found) if kind == "intValue" else found


def values(of: dict[str, Any]) -> dict[str, Any]:
    """Attributes by key."""
    return {one["key"]: plain(one["value"]) for one in of["attributes"]}


def read(lines: Iterable[str]) -> list[Call]:
    """The calls, by session id."""
    calls: dict[str, list[Span]] = {}
    for line in lines:
        for resource in json.loads(line)["resourceSpans"]:
            for raw in resource["scopeSpans"][0]["spans"]:
                own = values(raw)
                events = [(one["name"], int(one["timeUnixNano"]), values(one)) for one in raw.get("events", ())]
                failed = raw.get("status", {}).get("code") == 2
                span = Span(
                    raw["name"], int(raw["startTimeUnixNano"]), int(raw["endTimeUnixNano"]), failed, own, events
                )
                calls.setdefault(own["session.id"], []).append(span)
    return [Call(name, spans) for name, spans in sorted(calls.items())]
