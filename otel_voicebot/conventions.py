"""What a convention says of an attribute, a span, an event, a metric; ``semconv`` declares ours in these forms."""

import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Attribute", "AttributeType", "Event", "Metric", "MetricKind", "Span", "prometheus_name"]

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


_UNITS: Final = {"s": "seconds"}


def prometheus_name(metric: Metric) -> str:
    """The name that is scraped, without the ``_total``, ``_bucket``, ... of its samples."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", metric.name)
    unit = _UNITS.get(metric.unit, "")
    return f"{name}_{unit}" if unit and not name.endswith(f"_{unit}") else name
