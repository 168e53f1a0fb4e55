"""``otel-voicebot slo compile``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.options import Json, Output, Question

if TYPE_CHECKING:
    from otel_voicebot.exporters.slo import Alert, Compiled
    from otel_voicebot.reports.grid import Grid

__all__ = ["compile_"]


def compile_(
    objectives: Annotated[Path, typer.Argument(metavar="FILE", help="Objectives and rules (YAML or JSON).")],
    *,
    targets: Annotated[
        Path | None,
        typer.Option(
            "--targets",
            metavar="FILE",
            help="Latency targets, for a rule on them (YAML or JSON). Default: $OTEL_VOICEBOT_TARGETS, else the usual.",
            show_default=False,
        ),
    ] = None,
    tests: Annotated[
        Path | None,
        typer.Option("--tests", metavar="FILE", help="Write unit tests of the rules there, for promtool test rules."),
    ] = None,
    alertmanager: Annotated[
        Path | None,
        typer.Option("--alertmanager", metavar="FILE", help="Write an example configuration of Alertmanager there."),
    ] = None,
    json: Json = False,
    output: Output = None,
) -> int:
    """Objectives and alert rules as rules of Prometheus.

    Burn-rate alerts with their factors worked out, recording rules, rules on shares, quantiles, counts and silence; an
    alert that could never fire is refused with the reason. Rules go to stdout, or to --output FILE with a table of the
    alerts on stdout.
    """
    from otel_voicebot.exporters import slo  # noqa: PLC0415 - not for --help
    from otel_voicebot.models.targets import DEFAULTS, read_targets  # noqa: PLC0415

    chosen = targets or Question().settings().targets
    limits = DEFAULTS if chosen is None else read_targets(chosen)
    compiled = slo.compile_objectives(slo.read_objectives(objectives), limits)
    rules = slo.rules_file(compiled)
    if tests is not None:
        beside = os.path.relpath(output, tests.parent) if output is not None else "rules.yaml"
        out.write(slo.unit_tests_file(compiled, beside), tests)
    if alertmanager is not None:
        out.write(slo.alertmanager_file(compiled), alertmanager)
    for line in compiled.left_out:
        out.note(f"left out: {line}")
    if json:
        out.write_json(_document(compiled), output)
        return 0
    out.write(rules, output)
    if output is not None:
        head = [f"{len(compiled.records)} recording rules and {len(compiled.alerts)} alerts"]
        out.write_table(head, _grids(compiled), None)
    return 0


def _row(alert: "Alert") -> dict[str, object]:
    burn = alert.burn
    return {
        "alert": alert.name,
        "of": " ".join(alert.labels[name] for name in ("slo", "target", "quantile") if name in alert.labels),
        "severity": alert.labels["severity"],
        "window": burn.policy.long if burn else None,
        "factor": burn.factor if burn else None,
        "share": burn.share if burn else None,
        "alone_s": burn.alone_s if burn else None,
        "minimum_calls": alert.minimum,
    }


def _document(compiled: "Compiled") -> dict[str, object]:
    alerts = [{**_row(one), "expr": one.expr, "labels": dict(one.labels)} for one in compiled.alerts]
    return {"schema": "otel_voicebot.slo/1", "alerts": alerts, "left_out": list(compiled.left_out)}


def _grids(compiled: "Compiled") -> "list[Grid]":
    from otel_voicebot.reports.grid import Column, Grid  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.values import quantity, seconds  # noqa: PLC0415

    columns = (
        *(Column("alert", "alert", style="bold"), Column("of", "of"), Column("severity", "severity")),
        *(Column("window", "window", right=True), Column("factor", "burn rate", quantity, right=True)),
        *(Column("share", "fires above", lambda value: quantity(value, "ratio"), right=True),),
        *(Column("alone_s", "if all fail, in", seconds, right=True), Column("minimum_calls", "calls", right=True)),
    )
    return [Grid("alerts", "Alerts", columns, tuple(map(_row, compiled.alerts)), empty="no alerts")]
