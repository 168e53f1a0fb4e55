"""Burn rates: how much faster than allowed a budget is used up, and which alerts on them can fire at all.

The budget is what may be bad over the period: ``1 - objective``. An alert fires when a share of it has gone in a
window: ``factor = share x period / window``, and then ``factor x (1 - objective)`` of all are bad. It can't be above 1.
"""

from dataclasses import dataclass
from typing import Final

from otel_voicebot.exporters.slo.forms import Policy, seconds

__all__ = ["USUAL", "Burn", "burn_of"]

USUAL: Final = (
    Policy(severity="critical", long="1h", short="5m", budget=0.02),
    Policy(severity="critical", long="6h", short="30m", budget=0.05),
    Policy(severity="warning", long="3d", short="6h", budget=0.1),
)
"""For an objective that names no alerts."""


@dataclass(frozen=True)
class Burn:
    """An alert on a burn rate."""

    policy: Policy
    factor: float
    """How many times faster than allowed."""
    share: float
    """Bad ones among all, above which it fires."""

    @property
    def alone_s(self) -> float:
        """Seconds until it fires where everything goes bad at once, in steady traffic."""
        return self.share * seconds(self.policy.long)

    def why_never(self, objective: float, period: str) -> str | None:
        """Why it can never fire; None when it can."""
        long, short = self.policy.long, self.policy.short
        if seconds(short) >= seconds(long):
            return f"its short window {short} is not shorter than its long one {long}"
        if seconds(long) > seconds(period):
            return f"its long window {long} is longer than the period {period}"
        if self.share < 1:
            return None
        most = (1 - objective) ** -1 * seconds(long) / seconds(period)
        return (
            f"{self.policy.budget:.4g} of the budget of {period} in {long} is a burn rate of {self.factor:.4g}, and "
            f"{self.factor:.4g} x (1 - {objective:g}) = {self.share:.4g}: more than all would have to be bad. "
            f"In {long} at most {most:.3g} of the budget can go: choose a smaller budget or a longer window"
        )


def burn_of(policy: Policy, objective: float, period: str) -> Burn:
    """The factor and the share of an alert."""
    factor = policy.budget * seconds(period) / seconds(policy.long)
    return Burn(policy, factor, round(factor * (1 - objective), 12))
