"""``otel-voicebot slo compile`` as its users run it."""

import json
from pathlib import Path

import pytest
import yaml

from otel_voicebot.cli import main

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_rules_tests_and_routes_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped file compiles to the shipped rules, and a table says when each alert fires."""
    rules, tests, routes = (tmp_path / name for name in ("rules.yaml", "tests.yaml", "alertmanager.yml"))
    words = ["slo", "compile", str(DEPLOY / "slo.yaml"), "--output", str(rules), "--tests", str(tests)]
    assert main([*words, "--alertmanager", str(routes)]) == 0
    shipped = (DEPLOY / "prometheus-slo.rules.yaml").read_text()
    assert yaml.safe_load(rules.read_text()) == yaml.safe_load(shipped)
    assert yaml.safe_load(tests.read_text())["rule_files"] == ["rules.yaml"]
    assert yaml.safe_load(routes.read_text())["route"]["receiver"] == "nobody"
    said = capsys.readouterr().out
    assert "14.4 %" in said
    assert "8 min 38 s" in said


def test_rules_go_to_stdout_and_what_is_left_out_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --output stdout is the rules' file and nothing else."""
    told = tmp_path / "slo.yaml"
    told.write_text("slos: [{name: gap, indicator: response_gap, within_s: 3.5, objective: 0.9}]")
    assert main(["slo", "compile", str(told)]) == 0
    captured = capsys.readouterr()
    assert yaml.safe_load(captured.out)["groups"][0]["name"] == "voicebot_slo"
    assert "left out: gap: the usual alert over 1h could never fire" in captured.err
    assert main(["slo", "compile", str(told), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "otel_voicebot.slo/1"
    assert [(one["window"], one["factor"]) for one in document["alerts"]] == [("6h", 6), ("3d", 1)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "can't be read: No such file or directory"),
        ("- a\n- b\n", "holds no fields; it needs slos or rules, lists"),
        ("slos: [", "neither YAML nor JSON"),
        ("slos: [{name: gap}]", "slos[0].indicator: Field required"),
        ("slos: [{name: gap, indicator: gaps, objective: 0.9}]", "indicator 'gaps' is unknown"),
    ],
)
def test_a_wrong_file_is_named_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, says: str
) -> None:
    """Exit code 2, one line on stderr, nothing on stdout; with --json the same as JSON."""
    told = tmp_path / "slo.yaml"
    if text is not None:
        told.write_text(text)
    assert main(["slo", "compile", str(told)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert main(["slo", "compile", str(told), "--json"]) == 2
    assert says in json.loads(capsys.readouterr().out)["error"]["message"]
