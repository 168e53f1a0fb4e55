"""Expressions of dashboards as Grafana sends them to Prometheus: its variables replaced."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["ALL", "DASHBOARDS", "Asked", "Range", "asked", "expand", "finite", "loaded"]

DASHBOARDS: Final = Path(__file__).parent / "dashboards"
ALL: Final = {"bot": ".*", "environment": ".*", "variant": ".*"}


@dataclass(frozen=True)
class Range:
    """A dashboard's time range, in unix seconds, and what its data source is set up with."""

    start: float
    end: float
    scrape_s: int = 1
    step_s: int = 15
    """The panel's smallest interval."""

    def variables(self) -> dict[str, str]:
        """Grafana's own: ``$__rate_interval`` is the interval and a scrape, or four scrapes."""
        rate = max(self.step_s + self.scrape_s, 4 * self.scrape_s)
        length = max(round(self.end - self.start), 1)
        return {
            "__rate_interval": f"{rate}s",
            "__interval": f"{self.step_s}s",
            "__range": f"{length}s",
            "__range_s": str(length),
        }


@dataclass(frozen=True)
class Asked:
    """One expression of one panel."""

    dashboard: str
    id: int
    """The panel's."""
    panel: str
    """Its title."""
    legend: str
    expr: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.dashboard} / {self.panel}: {self.expr}"


def loaded() -> dict[str, dict[str, Any]]:
    """The committed dashboards by uid."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def asked() -> Iterator[Asked]:
    """Every expression of every panel."""
    for uid, dashboard in loaded().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                legend, expr = target["legendFormat"], target["expr"]
                yield Asked(uid, panel["id"], panel["title"], legend, expr, bool(target.get("instant")))


def escaped(value: str) -> str:
    """As Grafana puts a value of a variable that may have several into a regular expression within quotes."""
    return re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))


def chosen(values: Sequence[str]) -> str:
    """One value, or several."""
    return escaped(values[0]) if len(values) == 1 else f"({'|'.join(map(escaped, values))})"


def expand(expr: str, over: Range, choice: Mapping[str, Sequence[str]] | None = None) -> str:
    """The expression with Grafana's variables and the dashboard's; those without a choice are at All."""
    values = {**ALL, **{name: chosen(some) for name, some in (choice or {}).items()}, **over.variables()}

    def value(found: re.Match[str]) -> str:
        return values[found[1]]

    return re.sub(r"\$(\w+)", value, expr)


def finite(result: Sequence[Mapping[str, Any]]) -> list[float]:
    """All numbers of an answer that are some."""
    points = [one for series in result for one in (series.get("values") or [series["value"]])]
    return [float(value) for _, value in points if math.isfinite(float(value))]
