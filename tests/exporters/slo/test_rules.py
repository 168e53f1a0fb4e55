"""Objectives compiled for Prometheus: what comes out, what promtool says, what is refused (FEATURES B4 C4 C7 C11)."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from otel_voicebot.errors import UsageError
from otel_voicebot.exporters import slo
from otel_voicebot.models.targets import DEFAULTS, Target, Targets
from tests.prometheus.server import needs_prometheus

DEPLOY = Path(__file__).parents[3] / "deploy"
THE_SEVEN = {
    *("sla_violation", "high_error_rate", "low_cache_hit_rate", "handoff_failure", "bot_unresponsive"),
    *("circular_handoff_spike", "rate_limit_breach"),
}

Compile = Callable[..., slo.Compiled]


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Compiles a file that is told as a mapping."""

    def run(targets: Targets = DEFAULTS, **told: Any) -> slo.Compiled:
        path = tmp_path / "slo.yaml"
        path.write_text(yaml.safe_dump(told))
        return slo.compile_objectives(slo.read_objectives(path), targets)

    return run


def objective(**more: Any) -> dict[str, Any]:
    """An objective on the wait for an answer."""
    return {"name": "gap", "indicator": "response_gap", "within_s": 3.5, "objective": 0.95, **more}


def rule(**more: Any) -> dict[str, Any]:
    """A rule on errors."""
    return {"name": "errors", "indicator": "errors", "severity": "critical", **more}


def promtool(directory: Path, compiled: slo.Compiled) -> str:
    """What promtool says of the compiled rules and of their tests; both have to pass."""
    (directory / "rules.yaml").write_text(slo.rules_file(compiled))
    (directory / "tests.yaml").write_text(slo.unit_tests_file(compiled, "rules.yaml"))
    said = ""
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, cwd=directory, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout
    return said


def test_factors_and_thresholds_are_those_of_the_textbook(compiled: Compile) -> None:
    """2 % of 30 days in an hour is 14.4 times too fast, 5 % in 6 h 6 times, 10 % in 3 d once."""
    found = compiled(slos=[objective(objective=0.999)]).alerts
    assert [(one.labels["window"], one.burn.factor) for one in found if one.burn] == [
        ("1h", pytest.approx(14.4)),
        ("6h", pytest.approx(6)),
        ("3d", pytest.approx(1)),
    ]
    assert [one.burn.share for one in found if one.burn] == pytest.approx([0.0144, 0.006, 0.001])
    # all bad for 51.8 s is 1.44 % of an hour
    assert found[0].burn is not None
    assert found[0].burn.alone_s == pytest.approx(51.84)


def test_a_usual_alert_that_can_never_fire_is_left_out_and_said(compiled: Compile) -> None:
    """Of a 90 % objective 14.4 x 10 % would be 144 % bad: that alert is left out with the reason, the others stay."""
    found = compiled(slos=[objective(objective=0.9)])
    assert [one.labels["window"] for one in found.alerts] == ["6h", "3d"]
    (said,) = found.left_out
    assert "could never fire" in said
    assert "14.4 x (1 - 0.9) = 1.44" in said
    assert slo.rules_file(found).startswith("# Left out: gap: ")


NEVER = {
    "a burn rate": (
        {
            "slos": [
                objective(objective=0.9, alerts=[{"severity": "critical", "long": "1h", "short": "5m", "budget": 0.02}])
            ]
        },
        "gap: the alert over 1h could never fire: 0.02 of the budget of 30d in 1h is a burn rate of 14.4, and 14.4 x (",
    ),
    "a window beyond the period": (
        {
            "period": "7d",
            "slos": [objective(alerts=[{"severity": "warning", "long": "8d", "short": "6h", "budget": 0.5}])],
        },
        "its long window 8d is longer than the period 7d",
    ),
    "a short window that is long": (
        {"slos": [objective(alerts=[{"severity": "warning", "long": "1h", "short": "1h", "budget": 0.01}])]},
        "its short window 1h is not shorter than its long one 1h",
    ),
    "a share above one": ({"rules": [rule(above=1.0)]}, "above 1: a share is never above 1"),
    "a quantile beyond the histogram": (
        {"rules": [rule(indicator="response_gap", quantile=0.95, above_s=13.5)]},
        "never above its last edge, 13.5 s",
    ),
    "a component that is none": (
        {"rules": [rule(above=0.1, where={"component": "sst"})]},
        "component 'sst' never occurs, so that it could never fire; there are stt",
    ),
    "a component without a first chunk": (
        {"rules": [rule(indicator="first_chunk", within_s=1, above=0.1, where={"component": "cache"})]},
        "component 'cache' never occurs, so that it could never fire; there are stt, llm, tts",
    ),
    "no usual alert": (
        {"period": "3650d", "slos": [objective(objective=0.05)]},
        "no usual alert could ever fire",
    ),
}


@pytest.mark.parametrize("case", NEVER)
def test_an_alert_that_can_never_fire_is_refused_with_the_reason(compiled: Compile, case: str) -> None:
    """What no number of bad calls could make fire is no alert."""
    told, reason = NEVER[case]
    with pytest.raises(UsageError) as caught:
        compiled(**told)
    assert reason in str(caught.value)


def test_more_words_may_be_wrong_than_there_are(compiled: Compile) -> None:
    """Inserted words count, so that a word error rate above 1 is a threshold like any other."""
    assert "> 1.2" in compiled(rules=[rule(indicator="wer", above=1.2)]).alerts[0].expr


def test_a_target_beyond_the_histogram_is_refused(compiled: Compile) -> None:
    """Prometheus reads no quantile above the last edge, so a target there would never be broken."""
    targets = Targets(targets=(Target(component="llm", p95_s=8.0),))
    with pytest.raises(UsageError, match=r"errors: llm: above 8 s: .* never above its last edge, 8 s"):
        compiled(targets, rules=[rule(indicator="targets")])


WRONG = {
    "no edge": (
        {"slos": [objective(within_s=1.4)]},
        "within_s 1.4 is no edge of the histogram voicebot.turn.response_gap: take 1.3 or 1.45",
    ),
    "no limit": ({"slos": [objective(within_s=None)]}, "response_gap needs within_s"),
    "a limit of none": (
        {"rules": [rule(above=0.1, within_s=1)]},
        "within_s is the limit of a time, and errors is none",
    ),
    "an unknown indicator": (
        {"slos": [objective(indicator="gaps")]},
        "indicator 'gaps' is unknown; there are response_gap",
    ),
    "an unknown label": (
        {"rules": [rule(above=0.1, where={"channel": "phone"})]},
        "errors has no label 'channel'; it has bot",
    ),
    "two thresholds": ({"rules": [rule(above=0.1, more_than=3)]}, "it says above, more_than"),
    "no threshold": ({"rules": [rule()]}, "it says none"),
    "half of one": ({"rules": [rule(indicator="response_gap", quantile=0.9)]}, "it says quantile"),
    "a quantile of a share": ({"rules": [rule(quantile=0.9, above_s=1)]}, "errors is no time: it has no quantile"),
    "a threshold of silence": ({"rules": [rule(indicator="silence", above=0.1)]}, "silence takes no threshold"),
    "calls of a count": ({"rules": [rule(more_than=3, minimum_calls=5)]}, "what counts things itself needs none"),
    "a name twice": ({"slos": [objective()], "rules": [rule(name="gap", above=0.1)]}, "'gap' names two things"),
    "labels of targets": ({"rules": [rule(indicator="targets", where={"bot": "x"})]}, "where is not for targets"),
    "no outcomes": (
        {"slos": [{"name": "calls", "indicator": "calls", "objective": 0.9}]},
        "the indicator calls needs it",
    ),
    "an unknown outcome": (
        {"rules": [rule(indicator="calls", outcomes=["lost"], above=0.1)]},
        "outcome 'lost' is unknown; there are resolved",
    ),
    "apart by what is bad": (
        {"rules": [rule(indicator="cache_misses", above=0.5, by=["bot", "result"])]},
        "result tells what cache_misses counts as bad",
    ),
    "of what is not bad": (
        {"rules": [rule(indicator="abandoned", above=0.5, where={"outcome": "answered"})]},
        "outcome tells what abandoned counts as bad",
    ),
    "a window without a rate": ({"rules": [rule(above=0.1, over="10s")]}, "rules[0].over: '10s': is too short"),
    "a short window without a rate": (
        {"slos": [objective(alerts=[{"severity": "warning", "long": "1h", "short": "15s", "budget": 0.01}])]},
        "slos[0].alerts[0].short: '15s': is too short",
    ),
    "nothing": ({"period": "30d"}, "it names neither slos nor rules"),
    "an unknown field": ({"slos": [objective(threshold=3)]}, "slos[0].threshold"),
    "no duration": ({"period": "a month"}, "period: 'a month': is no duration"),
    "a bad name": ({"slos": [objective(name="Gap!")]}, "'Gap!': is no name"),
    "a sure thing": ({"slos": [objective(objective=1.0)]}, "slos[0].objective: 1.0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_its_value(compiled: Compile, case: str) -> None:
    """One sentence with the field, the value and what there is."""
    told, reason = WRONG[case]
    with pytest.raises(UsageError) as caught:
        compiled(**told)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_prometheus
def test_every_indicator_fires_and_is_silent_in_promtool(compiled: Compile, tmp_path: Path) -> None:
    """Each indicator as an objective and as a rule: fires when all is bad, silent when all is well or few call."""
    shares: list[dict[str, Any]] = []
    for number, name in enumerate(slo.INDICATORS):
        timed = name in ("response_gap", "operation", "first_chunk", "handoff_time")
        more = {"within_s": 2.0} if timed else {"outcomes": ["failed", "abandoned"]} if name == "calls" else {}
        shares.append({"name": f"x{number}", "indicator": name, **more})
    found = compiled(
        slos=[{**one, "objective": 0.95} for one in shares],
        rules=[{**one, "name": f"r{one['name']}", "above": 0.5, "severity": "warning"} for one in shares],
    )
    assert len(found.alerts) == 4 * len(slo.INDICATORS)
    assert "SUCCESS" in promtool(tmp_path, found)


@needs_prometheus
def test_labels_with_quotes_and_other_groups_pass_promtool(compiled: Compile, tmp_path: Path) -> None:
    """A bot's name may hold quotes, backslashes and braces; alerts may be by channel, by provider, or of all bots."""
    found = compiled(
        slos=[
            objective(where={"bot": 'a "b" \\ {c}'}),
            objective(name="all", by=[]),
            objective(name="apart", by=["bot", "channel"]),
        ],
        rules=[
            rule(above=0.1, by=["bot", "provider"]),
            rule(name="all_silent", indicator="silence", by=[]),
            rule(name="few", indicator="wer", above=0.2, minimum_calls=1),
            rule(name="none_asked", indicator="wer", above=0.2, minimum_calls=0),
        ],
    )
    assert "SUCCESS" in promtool(tmp_path, found)


@needs_prometheus
def test_a_rule_that_is_broken_fails_its_unit_test(compiled: Compile, tmp_path: Path) -> None:
    """The tests that are written do test: with another threshold, or without the gate, promtool finds them out."""
    found = compiled(slos=[objective()])
    rules = slo.rules_file(found)
    (tmp_path / "tests.yaml").write_text(slo.unit_tests_file(found, "rules.yaml"))
    for broken in (
        rules.replace("> 0.72", "> 1.72"),
        rules.replace(">= 20", ">= 0"),
        rules.replace('le="3.5"', 'le="3"'),
    ):
        assert broken != rules
        (tmp_path / "rules.yaml").write_text(broken)
        done = subprocess.run(
            ["promtool", "test", "rules", "tests.yaml"], capture_output=True, cwd=tmp_path, check=False
        )
        assert done.returncode != 0


def test_what_is_shipped_holds_the_seven_rules_and_all_targets() -> None:
    """deploy/ alerts on the seven rules by their names, and on every quantile of every usual target."""
    groups = yaml.safe_load((DEPLOY / "prometheus-slo.rules.yaml").read_text())["groups"]
    alerts = [one for group in groups for one in group["rules"] if "alert" in one]
    assert {one["alert"] for one in alerts} >= THE_SEVEN
    asked = sum(len(one.model_fields_set & {"p50_s", "p95_s", "p99_s"}) for one in DEFAULTS.targets)
    asked -= sum(getattr(one, q) is None for one in DEFAULTS.targets for q in one.model_fields_set if q.startswith("p"))
    assert sum(one["alert"] == "sla_violation" for one in alerts) == asked == 26
    seconds = {"5m": 300, "10m": 600}
    cooldowns = {one["alert"]: seconds[one["labels"]["repeat"]] for one in alerts if one["alert"] in THE_SEVEN}
    assert cooldowns == {
        **dict.fromkeys(("sla_violation", "high_error_rate", "handoff_failure", "rate_limit_breach"), 300),
        **dict.fromkeys(("low_cache_hit_rate", "bot_unresponsive", "circular_handoff_spike"), 600),
    }


@needs_prometheus
def test_what_is_shipped_passes_promtool() -> None:
    """``promtool check rules`` and ``promtool test rules`` pass for all files in deploy/."""
    for command in (
        ["check", "rules", "prometheus-slo.rules.yaml", "prometheus-waits.rules.yaml"],
        ["test", "rules", "prometheus-slo.tests.yaml"],
    ):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, cwd=DEPLOY, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_of_no_channel_goes_nowhere(compiled: Compile) -> None:
    """An empty list of channels is kept: only a rule that says nothing of them has the usual ones."""
    found = compiled(rules=[rule(name="quiet", above=0.1, channels=[]), rule(above=0.1)])
    assert [one.labels["channels"] for one in found.alerts] == ["", "mail,slack,webhook"]


def test_alerts_that_are_judged_apart_are_grouped_and_inhibited_apart(compiled: Compile) -> None:
    """One model's critical alert doesn't hide another model's warning."""
    slos = [{"name": "works", "indicator": "errors", "objective": 0.99, "by": ["bot", "model"]}]
    config = yaml.safe_load(slo.alertmanager_file(compiled(slos=slos)))
    assert config["inhibit_rules"][0]["equal"] == ["slo", "bot", "model"]
    assert config["route"]["group_by"] == ["alertname", "slo", "target", "bot", "model"]


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed (Debian's prometheus-alertmanager)")
def test_alertmanager_sends_each_alert_where_its_labels_say() -> None:
    """The configuration passes amtool, which routes by the labels channels and repeat (FEATURES C12)."""
    config = DEPLOY / "alertmanager.yml"
    command = ["amtool", "check-config", str(config)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for channels, receivers in (
        ("mail,slack,webhook", "mail,slack,webhook"),
        ("pagerduty,opsgenie", "pagerduty,opsgenie"),
        ("slack", "slack"),
        ("", "nobody"),
    ):
        command = ["amtool", "config", "routes", "test", f"--config.file={config}", f"channels={channels}", "repeat=5m"]
        routed = subprocess.run(command, capture_output=True, text=True, check=True)
        assert routed.stdout.strip() == receivers
