"""The documents' commands as programs of their own names, for the installer; ``otel-voicebot NAME`` is the same."""

from otel_voicebot.cli import alone

__all__ = ["analytics_report", "business_dashboard", "monitor_session", "orchestrator_log", "threshold_alert"]


def orchestrator_log() -> int:
    """Run ``orchestrator-log``; returns its exit code, as the others do."""
    return alone("orchestrator-log")


def monitor_session() -> int:
    """Run ``monitor-session``."""
    return alone("monitor-session")


def analytics_report() -> int:
    """Run ``analytics-report``."""
    return alone("analytics-report")


def threshold_alert() -> int:
    """Run ``threshold-alert``."""
    return alone("threshold-alert")


def business_dashboard() -> int:
    """Run ``business-dashboard``."""
    return alone("business-dashboard")
