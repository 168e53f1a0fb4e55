"""What a convention says of an attribute, a span, an event, a metric; ``semconv`` declares ours in these forms."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Attribute", "AttributeType", "Event", "Metric", "MetricKind", "Span"]

AttributeType = Literal["string", "int", "double", "boolean", "string[]"]
MetricKind = Literal["counter", "histogram", "gauge"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute key."""

    name: str
    type: AttributeType
    meaning: str
    unit: str = ""
    content: bool = False
    """It carries what people said or wrote: not stored unless content capture is on."""


@dataclass(frozen=True, slots=True)
class Span:
    """One kind of span."""

    name: str
    component: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of span event."""

    name: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    ``labels`` are Prometheus label names, few and bounded: never a session, a user, a text or a trace id.
    """

    name: str
    kind: MetricKind
    unit: str
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()
