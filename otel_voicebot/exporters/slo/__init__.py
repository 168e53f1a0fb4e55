"""Service level objectives, compiled for Prometheus and its Alertmanager: ``otel-voicebot slo compile``."""

from otel_voicebot.exporters.slo.alertmanager import alertmanager_file
from otel_voicebot.exporters.slo.compiled import Alert, Compiled, compile_objectives
from otel_voicebot.exporters.slo.forms import Objectives, read_objectives
from otel_voicebot.exporters.slo.indicators import INDICATORS
from otel_voicebot.exporters.slo.rules import rules_file
from otel_voicebot.exporters.slo.unit_tests import unit_tests_file

__all__ = [
    "INDICATORS",
    "Alert",
    "Compiled",
    "Objectives",
    "alertmanager_file",
    "compile_objectives",
    "read_objectives",
    "rules_file",
    "unit_tests_file",
]
