"""Every rule in deploy/, loaded by a real Prometheus that scrapes a real service: E3, C4, C7, C11."""

import itertools
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import wire
from bench.generate import TOOLS
from grafana.asking import finite
from otel_voicebot import semconv as s
from otel_voicebot.exporters.promql import matchers
from tests.app.served import Served, until
from tests.prometheus.server import Prometheus, needs_prometheus
from tests.prometheus.traffic import planned, prime, shifted, stream

pytestmark = [needs_prometheus, pytest.mark.slow, pytest.mark.timeout(900)]

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = (DEPLOY / "prometheus-slo.rules.yaml", DEPLOY / "prometheus-waits.rules.yaml")
TARGETED = ("lead", "buyer", "seller")
"""Bots that the usual latency targets name, with operations of their own."""
DONE = {TOOLS[0]: "process", TOOLS[1]: "full_qualification", TOOLS[2]: "process"}
SILENT = "mute"
"""A bot with a caller on the line whom it never answers."""


@dataclass(frozen=True)
class Loaded:
    """What runs, and the rules of both files."""

    served: Served
    prometheus: Prometheus
    rules: Sequence[dict[str, Any]]

    def series(self, expr: str) -> list[Any]:
        """What Prometheus answers now, without what is no number."""
        answer = self.prometheus.ask("query", query=expr)
        assert answer is not None, f"refused: {expr}"
        return list(finite(answer["result"]))

    def alerts(self) -> list[dict[str, Any]]:
        """The rules that alert."""
        return [one for one in self.rules if "alert" in one]


def renamed(one: wire.Span, bot: str) -> wire.Span:
    """A span of another bot, whose tools are called as the targets call its operations, and that looks things up."""
    attributes = {**one.attributes, s.BOT: bot}
    tool = attributes.get(s.TOOL_NAME)
    if one.name == s.SPAN_API:
        return one._replace(name=s.SPAN_RAG, attributes=attributes)
    if tool is None:
        return one._replace(attributes=attributes)
    done = DONE[str(tool)]
    return one._replace(name=f"{s.SPAN_TOOL} {done}", attributes={**attributes, s.TOOL_NAME: done})


def with_targeted(plan: Sequence[Sequence[list[wire.Span]]]) -> list[list[list[wire.Span]]]:
    """The same, of which half the calls are the targeted bots'."""
    bots = itertools.cycle(part for bot in TARGETED for part in (bot, None))
    return [
        [call if bot is None else [renamed(one, bot) for one in call] for call, bot in zip(calls, bots, strict=False)]
        for calls in plan
    ]


def unanswered(call: Sequence[wire.Span]) -> list[wire.Span]:
    """A call that goes on: somebody was heard, and nothing came of it."""
    heard = next(one for one in call if one.name == s.SPAN_STT)
    attributes = {**heard.attributes, s.BOT: SILENT, s.SESSION_ID: "unanswered"}
    return shifted([heard._replace(trace_id=b"u" * 16, parent_id=b"", attributes=attributes)], 0)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """After some seconds of calls, when every rule was evaluated on all of them."""
    directory = tmp_path_factory.mktemp("rules")
    rules = [one for path in FILES for group in yaml.safe_load(path.read_text())["groups"] for one in group["rules"]]
    plan = with_targeted(planned(16))
    with (
        Served(directory / "data") as served,
        Prometheus(directory, served.where["metrics"], rules=FILES, every="3s") as prometheus,
    ):
        prime(served, plan)
        time.sleep(3)
        served.export(unanswered(plan[0][0]))
        stream(served, plan)
        time.sleep(3)
        now = time.time()
        # an alert reads what the group before it recorded, and one record the next: some rounds later all are there
        until(lambda: evaluated(prometheus) > now + 6)
        yield Loaded(served, prometheus, rules)


def evaluated(prometheus: Prometheus) -> float:
    """When the rules' last round began, the oldest group's, in unix seconds."""
    groups = (prometheus.ask("rules") or {"groups": []})["groups"]
    times = [time.mktime(time.strptime(one["lastEvaluation"][:19], "%Y-%m-%dT%H:%M:%S")) for one in groups]
    return min(times, default=0.0) - time.timezone


def selectors(text: str) -> set[tuple[str, str]]:
    """Names of series with their matchers, in an expression or in the template of a text."""
    plain = text.replace('\\"', '"').replace("%q", '".+"').replace('bot=".+"', 'bot=~".+"')
    return set(re.findall(r"\b(voicebot[_:][\w:]+)(\{[^}]*\})?", plain))


def texts(rule: dict[str, Any]) -> list[str]:
    """What of a rule names series."""
    return [rule["expr"], *(found for text in rule.get("annotations", {}).values() for found in asked_in(text))]


def asked_in(template: str) -> list[str]:
    """The expressions that a text asks Prometheus for."""
    return re.findall(r'printf "((?:[^"\\]|\\.)*)"', template)


def test_every_series_and_label_that_a_rule_names_is_there(loaded: Loaded) -> None:
    """Names, matchers and groups, also of the expressions in the alerts' texts: none is misspelt, none never occurs."""
    named = {one for rule in loaded.rules for text in texts(rule) for one in selectors(text)}
    assert {name for name, _ in named if name.startswith("voicebot_")} >= {"voicebot_sessions_total"}
    found = {one: loaded.prometheus.ask("series", **{"match[]": "".join(one)}) for one in named}
    assert not [one for one, series in found.items() if not series]
    there: dict[str, set[str]] = {}
    for (name, _), series in found.items():  # lookups of knowledge have no model, other operations have
        there.setdefault(name, set()).update(label for one in series for label in one)
    for rule in loaded.rules:
        for text in texts(rule):
            labels = set().union(*(there[name] for name, _ in selectors(text)))
            for group in re.findall(r"(?:by|on|ignoring) \(([^)]*)\)", text):
                assert set(filter(None, group.split(", "))) <= labels, text


def test_every_rule_is_evaluated_without_an_error(loaded: Loaded) -> None:
    """Prometheus itself is content with each."""
    found = [rule for group in loaded.prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(found) == len(loaded.rules)
    assert not [one for one in found if one["health"] != "ok"]


def test_every_recording_rule_records_numbers(loaded: Loaded) -> None:
    """Each has a series that is a number, with the labels that the rule gives."""
    records = [(one["record"], matchers(one.get("labels", {}))) for one in loaded.rules if "record" in one]
    assert records
    assert not [one for one in records if not loaded.series(f"{one[0]}{{{one[1]}}}")]


def test_every_alert_measures_something(loaded: Loaded) -> None:
    """Without its thresholds each expression is a number; the alert on silence is asked of a bot that is silent."""
    empty = []
    for one in loaded.alerts():
        silence = one["alert"] == "bot_unresponsive"
        bare, thresholds = re.subn(r" >=? [\d.e+-]+(?= |$)", "", one["expr"])
        assert thresholds
        if not loaded.series(one["expr"] if silence else bare):
            empty.append((one["alert"], one["labels"]))
    assert not empty
    [silence] = [one for one in loaded.alerts() if one["alert"] == "bot_unresponsive"]
    assert SILENT in {
        series["metric"]["bot"] for series in loaded.prometheus.ask("query", query=silence["expr"])["result"]
    }


def test_texts_of_what_fires_are_written_out(loaded: Loaded) -> None:
    """No template of an alert that fires is left open, and none failed."""
    until(lambda: any(one["state"] == "firing" for one in loaded.prometheus.ask("alerts")["alerts"]))
    told = [text for one in loaded.prometheus.ask("alerts")["alerts"] for text in one["annotations"].values()]
    assert told
    assert not [text for text in told if re.search(r"<error|<no value>|%!|\{\{", text)]
