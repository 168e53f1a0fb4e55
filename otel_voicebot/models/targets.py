"""Latency targets: what the models ``sla`` holds latencies to. A YAML or JSON file, or the defaults."""

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from otel_voicebot.models.checked import read_checked

__all__ = ["DEFAULTS", "CacheTarget", "Target", "Targets", "as_rows", "cache_rows", "read_targets"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
_QUANTILES: Final = ("p50", "p95", "p99")


class Target(BaseModel):
    """How long something may take. What names no component, bot or operation is meant of all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    component: str | None = None
    """stt, llm, tts, nlu, rag, tool, cache, api, handoff; ``turn`` is the caller's whole wait."""
    bot: str | None = None
    operation: str | None = None
    p50_s: Seconds | None = None
    p95_s: Seconds | None = None
    p99_s: Seconds | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.p50_s is None and self.p95_s is None and self.p99_s is None:
            msg = "needs p50_s, p95_s or p99_s"
            raise ValueError(msg)
        return self


class CacheTarget(BaseModel):
    """How often a cache should know the answer, 0 to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cache: str
    hit_rate: Annotated[float, Field(ge=0, le=1, strict=True)]


class Targets(BaseModel):
    """The targets file. A list that it leaves out has no targets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: tuple[Target, ...] = ()
    caches: tuple[CacheTarget, ...] = ()

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.targets or self.caches):
            msg = "names no target: it needs targets or caches, lists"
            raise ValueError(msg)
        return self


def _of(bot: str | None, operation: str | None, *limits: float, component: str | None = None) -> Target:
    p50, p95, p99 = limits
    return Target(component=component, bot=bot, operation=operation, p50_s=p50, p95_s=p95, p99_s=p99)


DEFAULTS: Final = Targets(
    targets=(
        Target(component="stt", p95_s=2.0),
        Target(component="rag", p95_s=3.0),
        Target(component="tts", p95_s=2.0),
        Target(component="turn", p95_s=8.0),
        Target(component="llm", p95_s=2.0),
        _of("lead", "full_qualification", 0.5, 2.0, 3.0),
        _of("lead", "process", 0.3, 1.5, 2.0),
        _of("buyer", "full_qualification", 0.8, 2.5, 3.5),
        _of("buyer", "process", 0.4, 1.8, 2.5),
        _of("seller", "full_qualification", 0.7, 2.5, 3.5),
        _of("seller", "process", 0.4, 1.8, 2.5),
        _of(None, None, 0.1, 0.5, 0.8, component="handoff"),
    ),
    caches=(CacheTarget(cache="response", hit_rate=0.4), CacheTarget(cache="audio", hit_rate=0.6)),
)
"""What holds where no file is named."""


def cache_rows(targets: Targets) -> list[dict[str, object]]:
    """The table ``cache_targets`` of an engine."""
    return [{"cache": one.cache, "target": one.hit_rate} for one in targets.caches]


def as_rows(targets: Targets) -> list[dict[str, object]]:
    """The table ``targets`` of an engine: one row per target and quantile.

    Of the defaults only those are shown of which something was measured: they aren't asked for.
    """
    return [
        {
            "position": position,
            "component": target.component,
            "bot": target.bot,
            "operation": target.operation,
            "quantile": quantile,
            "target_s": getattr(target, f"{quantile}_s"),
            "asked": targets is not DEFAULTS,
        }
        for position, target in enumerate(targets.targets)
        for quantile in _QUANTILES
        if getattr(target, f"{quantile}_s") is not None
    ]


def read_targets(path: Path) -> Targets:
    """The targets file.

    Raises:
        UsageError: it can't be read, or a field is missing, unknown or wrong; the message names field and value.
    """
    return read_checked(path, Targets, "targets file", "targets or caches, lists")
