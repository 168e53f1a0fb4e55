"""The compiled rules as a file of Prometheus."""

import yaml

from otel_voicebot.exporters.slo.compiled import Alert, Compiled, Record

__all__ = ["rules_file"]


def rules_file(compiled: Compiled) -> str:
    """Recording rules, then the alerts that read them (YAML). What was left out is said at its head."""
    groups = [
        {"name": "voicebot_slo", "rules": [_record(one) for one in compiled.records]},
        {"name": "voicebot_alerts", "rules": [_alert(one) for one in compiled.alerts]},
    ]
    head = "".join(f"# Left out: {line}\n" for line in compiled.left_out)
    kept = [group for group in groups if group["rules"]]
    return head + yaml.safe_dump({"groups": kept}, sort_keys=False, width=1000)


def _record(one: Record) -> dict[str, object]:
    return {"record": one.name, "expr": one.expr, **({"labels": dict(one.labels)} if one.labels else {})}


def _alert(one: Alert) -> dict[str, object]:
    return {"alert": one.name, "expr": one.expr, "labels": dict(one.labels), "annotations": dict(one.annotations)}
