"""The file of objectives and rules, as its author writes it: YAML or JSON, checked field by field."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from otel_voicebot.models.checked import read_checked

__all__ = [
    "CHANNELS",
    "Channel",
    "Objective",
    "Objectives",
    "Policy",
    "Rule",
    "Severity",
    "read_objectives",
    "seconds",
]

Channel = Literal["mail", "slack", "webhook", "pagerduty", "opsgenie"]
Severity = Literal["critical", "warning"]
CHANNELS: Final[tuple[Channel, ...]] = ("mail", "slack", "webhook", "pagerduty", "opsgenie")

_SHORTEST_S: Final = 60
"""Four scrapes of the usual 15 s."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(duration: str) -> int:
    """A duration as Prometheus writes it (``5m``, ``30d``), in seconds."""
    return int(duration[:-1]) * _UNITS[duration[-1]]


def _duration(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,4}[smhdw]", text):
        msg = "is no duration: write a number and s, m, h, d or w, such as 5m"
        raise ValueError(msg)
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", text):
        msg = "is no name: small letters, digits and _, beginning with a letter"
        raise ValueError(msg)
    return text


def _window(text: str) -> str:
    if seconds(_duration(text)) < _SHORTEST_S:
        msg = "is too short: it has to hold a few scrapes, or there is no rate in it; the shortest is 1m"
        raise ValueError(msg)
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Window = Annotated[str, AfterValidator(_window)]
Name = Annotated[str, AfterValidator(_name)]
Share = Annotated[float, Field(gt=0, lt=1, strict=True)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Calls = Annotated[int, Field(ge=0, strict=True)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Policy(_Form):
    """When to alert: the share of the period's budget that went in the long window, and goes on in the short one."""

    severity: Severity
    long: Window
    short: Window
    budget: Share


class _Told(_Form):
    """What objectives and rules share."""

    name: Name
    indicator: str
    where: dict[str, str] = {}
    """Labels that series must have."""
    by: tuple[str, ...] = ("bot",)
    """Labels that are judged apart."""
    outcomes: tuple[str, ...] = ()
    """Of the indicator calls: which ends are bad."""
    within_s: Seconds | None = None
    """Of a time: slower is bad."""
    minimum_calls: Calls | None = None
    """So many calls must have ended, or nobody is alerted."""
    channels: tuple[Channel, ...] | None = None
    repeat: Duration | None = None
    """How often an alert that goes on is sent again."""


class Objective(_Told):
    """A share of good things that is to be kept over the period."""

    objective: Share
    alerts: Annotated[tuple[Policy, ...], Field(min_length=1)] | None = None
    """None: the usual ones."""


class Rule(_Told):
    """An alert on what a window holds: a share, a quantile of a time, a count, or silence."""

    severity: Severity
    over: Window = "5m"
    above: Annotated[float, Field(gt=0, strict=True)] | None = None
    quantile: Share | None = None
    above_s: Seconds | None = None
    more_than: Annotated[int, Field(ge=0, strict=True)] | None = None


class Objectives(_Form):
    """The file."""

    period: Duration = "30d"
    minimum_calls: Calls = 20
    channels: dict[Severity, tuple[Channel, ...]] = {"critical": ("mail", "slack", "webhook"), "warning": ("slack",)}
    repeat: Duration = "4h"
    runbook_url: str | None = None
    slos: tuple[Objective, ...] = ()
    rules: tuple[Rule, ...] = ()


def read_objectives(path: Path) -> Objectives:
    """The file of objectives.

    Raises:
        UsageError: it can't be read, or a field is missing, unknown or wrong; the message names field and value.
    """
    return read_checked(path, Objectives, "objectives file", "slos or rules, lists")
