"""The package's own counters stay few, whatever senders call their scopes."""

from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.semconv import OVERFLOW, SELF_COMMITTED, SELF_UNMAPPED


def test_labels_that_senders_make_up_are_bounded() -> None:
    """Beyond the bound a new label is folded, nothing is lost from the sum, and known series go on."""
    metrics = SelfMetrics()
    for number in range(3000):
        metrics.add(SELF_UNMAPPED, 1, f"scope-{number}")
    metrics.add(SELF_UNMAPPED, 1, "scope-0")
    metrics.add(SELF_COMMITTED, 5)
    assert len(metrics.read()) == 1002
    assert metrics.get(SELF_UNMAPPED, OVERFLOW) == 2000
    assert metrics.get(SELF_UNMAPPED, "scope-0") == 2
    assert metrics.get(SELF_COMMITTED) == 5
