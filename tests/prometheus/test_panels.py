"""Every expression of every panel, as Grafana sends it, asked of a real Prometheus: C16, D7, E3, E6."""

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.program import PROGRAM
from grafana.asking import Asked, Range, asked, expand, finite, loaded
from grafana.promql import metrics_of
from otel_voicebot import semconv as s
from otel_voicebot.conventions import Metric
from tests.prometheus.rig import Rig, unlucky, usual
from tests.prometheus.server import needs_prometheus
from tests.prometheus.traffic import AWKWARD

pytestmark = [needs_prometheus, pytest.mark.slow, pytest.mark.timeout(900)]

BAD: Sequence[Metric] = (
    *(s.SELF_REJECTED, s.SELF_REFUSED, s.SELF_DROPPED, s.SELF_LOGS_DROPPED, s.SELF_FAILURES, s.SELF_EVICTED),
    *(s.SELF_LATE, s.SELF_REPEATED, s.RESTATED, s.SELF_UNMAPPED, s.SELF_UNKNOWN_SPANS, s.SELF_UNKNOWN_ATTRIBUTES),
    *(s.SELF_LIMITED, s.SERIES_OVERFLOW),
)
"""What has no series while nothing is wrong with the service. The conditions are those of ``traffic.accidents``."""
ONE = (
    {"bot": [AWKWARD]},
    {"environment": ["test"]},
    {"variant": ["A"]},
    {"bot": ["shop", AWKWARD], "variant": ["A", "B"]},
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A service with calls of half a minute."""
    with usual(tmp_path_factory.mktemp("usual")) as made:
        yield made


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A service to which everything happens."""
    with unlucky(tmp_path_factory.mktemp("unlucky")) as made:
        yield made


def found(rig: Rig, one: Asked, over: Range, choice: Mapping[str, Sequence[str]] | None = None) -> list[Any]:
    """The series that Prometheus answers with."""
    expr = expand(one.expr, over, choice)
    if one.instant:
        answer = rig.prometheus.ask("query", query=expr, time=over.end)
    else:
        answer = rig.prometheus.ask("query_range", query=expr, start=over.start, end=over.end, step=over.step_s)
    assert answer is not None, f"{one} was refused as {expr}"
    result: list[Any] = answer["result"]
    return result


def is_bad(one: Asked) -> bool:
    """Whether it reads what only bad things make."""
    return "ALERTS" in one.expr or any(metric in BAD for metric in metrics_of(one.expr).values())


def halves(rig: Rig) -> Range:
    """The later half of the calls: its range before is the other half."""
    return Range(rig.ended - (rig.ended - rig.began) / 2, rig.ended)


def test_every_expression_returns_data_at_all(good: Rig) -> None:
    """With every variable at All there is a number in each answer, but for what reads only what bad things make."""
    missing = [
        f"{one.dashboard} / {one.panel}: {one.expr[:80]}"
        for one in asked()
        if not is_bad(one) and not finite(found(good, one, halves(good)))
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("choice", ONE, ids=["bot", "environment", "variant", "several"])
def test_every_expression_returns_data_at_one_value(good: Rig, choice: Mapping[str, Sequence[str]]) -> None:
    """The same with a variable at one value, or several, also one with brackets in its name."""
    missing = [
        f"{one.dashboard} / {one.panel}: {one.expr[:80]}"
        for one in asked()
        if not is_bad(one) and not finite(found(good, one, halves(good), choice))
    ]
    assert not missing, "\n".join(missing)


def test_a_choice_is_kept_to(good: Rig) -> None:
    """At one bot a panel by bot has that bot's line and no other."""
    one = next(one for one in asked() if one.panel == "Requests" and one.dashboard == "voicebot-bots")
    for choice in ([AWKWARD], ["bank", AWKWARD]):
        bots = {series["metric"]["bot"] for series in found(good, one, halves(good), {"bot": choice})}
        assert bots == set(choice)


def test_what_is_empty_while_nothing_is_wrong_fills_when_it_goes_wrong(good: Rig, bad: Rig) -> None:
    """Each of these expressions is empty at the service that is well, and has data where its condition was injected."""
    conditions = [one for one in asked() if is_bad(one)]
    assert {metric for one in conditions for metric in metrics_of(one.expr).values()} == set(BAD)
    full = [str(one) for one in conditions if found(good, one, halves(good))]
    over = Range(bad.ended - 15, bad.ended)  # two steps, the last is now
    missing = [
        f"{one.dashboard} / {one.panel}: {one.expr[:80]}" for one in conditions if not finite(found(bad, one, over))
    ]
    assert not full
    assert not missing, "\n".join(missing)


def test_every_metric_and_label_is_on_the_endpoint(good: Rig, bad: Rig) -> None:
    """What the dashboards name, in expressions and variables, is scraped with these labels."""
    there: dict[str, set[str]] = {}
    for rig in (good, bad):
        for family in text_string_to_metric_families(rig.served.get("/metrics", "metrics")):
            for sample in family.samples:
                there.setdefault(sample.name, set()).update(sample.labels)
    texts = [one.expr for one in asked()]
    texts += [
        variable["query"]["query"]
        for dashboard in loaded().values()
        for variable in dashboard["templating"]["list"]
        if isinstance(variable["query"], dict)
    ]
    names = {name for text in texts for name in re.findall(r"\b(?:voicebot|orchestrator)_\w+", text)}
    assert names
    assert names <= there.keys()
    for name, inside in (pair for text in texts for pair in re.findall(r"(\w+)\{([^}]*)\}", text)):
        if name != "ALERTS":
            assert set(re.findall(r"(\w+)(?:=~|!=|=)", inside)) <= there[name], (name, inside)
    for text in texts:
        read = set().union(*(there[name] for name in metrics_of(text))) if metrics_of(text) else None
        for group in re.findall(r"by \(([^)]*)\)", text):
            assert read is None or set(group.split(", ")) <= read, text


# ---- what the panels say, and what the command line says --------------------------------------------------------


def report(rig: Rig, since: str) -> dict[str, Any]:
    """The KPIs of so long, as ``otel-voicebot report --json`` prints them."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        [*command, "report", "--json", "--data", str(rig.data), "--since", since],
        capture_output=True,
        check=True,
        timeout=120,
    )
    kpis: dict[str, Any] = json.loads(done.stdout)["kpis"]
    return kpis


def shown(rig: Rig, dashboard: str, panel: str, number: int = 0, until: float | None = None) -> float:
    """The number that a panel shows of all calls that came."""
    one = [one for one in asked() if (one.dashboard, one.panel) == (f"voicebot-{dashboard}", panel)][number]
    over = Range(rig.began - 2, until or rig.ended)
    [value] = finite(found(rig, one, over))
    return value


def test_panels_say_what_the_command_line_says(good: Rig) -> None:
    """Of the same calls: what is counted within what a scrape leaves open, percentiles as docs/dashboards.md says."""
    kpis = {name: one["value"] for name, one in report(good, "6h").items()}
    length = good.ended - good.began + 2
    edge = {"rel": 2 / length}  # Prometheus stretches what it saw between two scrapes to the ends of the range
    assert shown(good, "overview", "Calls") == pytest.approx(kpis["sessions"], **edge)
    assert shown(good, "overview", "Exchanges") == pytest.approx(kpis["turns"], **edge)
    tokens = [shown_by(good, "cost", "Tokens", direction) for direction in ("input", "output")]
    assert tokens == pytest.approx([kpis["input_tokens"], kpis["output_tokens"]], **edge)
    for number, name in enumerate(("response_gap_p50_s", "response_gap_p95_s")):
        read = shown(good, "overview", "Response gap", number)
        assert read == pytest.approx(kpis[name], rel=0.01) or same_bucket(read, kpis[name]), (name, read, kpis[name])
    assert shown(good, "cost", "Cost") == pytest.approx(kpis["cost_usd"], **edge)
    assert shown(good, "cost", "Cost per call") == pytest.approx(kpis["cost_per_session_usd"], rel=0.01)
    shares = {
        ("overview", "Operations that fail"): "error_rate",
        ("overview", "Abandoned waits"): "abandoned_wait_rate",
        ("overview", "Replies interrupted"): "interruption_rate",
        ("quality", "Word error rate"): "wer",
        ("quality", "Intents not understood"): "fallback_rate",
        ("business", "Customer satisfaction"): "csat_share",
        ("business", "Average handle time"): "aht_s",
        ("business", "Containment"): "containment",
        ("cost", "Priced"): "priced_share",
    }
    for (dashboard, panel), name in shares.items():
        assert shown(good, dashboard, panel) == pytest.approx(kpis[name], rel=0.01), name
    assert shown(good, "business", "Net promoter score") == pytest.approx(kpis["nps"], abs=0.5)


def test_numbers_count_what_series_begin_with(good: Rig) -> None:
    """Over a range from before the service began a number is the counter's whole value, exactly."""
    [one] = [one for one in asked() if (one.dashboard, one.panel) == ("voicebot-overview", "Calls")]
    [value] = finite(found(good, one, Range(good.began - 1800, good.ended)))
    assert value == good.served.total("voicebot_sessions_total") > 0


def test_panels_of_stored_calls_say_exactly_what_the_command_line_says(good: Rig) -> None:
    """First call resolution of 14 days and dead air of 24 hours: the same models, the same numbers."""
    fcr = report(good, "14d")["fcr_7d"]
    assert fcr["denominator"] > 0
    assert shown(good, "business", "First call resolution, 7 days", until=time.time()) == pytest.approx(
        fcr["value"], rel=1e-9
    )
    command = [sys.executable, "-c", PROGRAM]
    options = ["--json", "--section", "speech", "--since", "24h", "--data", str(good.data)]
    done = subprocess.run([*command, "report", *options], capture_output=True, check=True, timeout=120)
    rows = json.loads(done.stdout)["sections"]["speech"]
    silent, whole = (sum(row[name] for row in rows) for name in ("dead_air_s", "call_s"))
    assert shown(good, "quality", "Dead air", until=time.time()) == pytest.approx(silent / whole, rel=1e-6)


def shown_by(rig: Rig, dashboard: str, panel: str, value: str) -> float:
    """The same where a panel shows a number for each value of a label."""
    one = next(one for one in asked() if (one.dashboard, one.panel) == (f"voicebot-{dashboard}", panel))
    series = found(rig, one, Range(rig.began - 2, rig.ended))
    return next(float(each["value"][1]) for each in series if value in each["metric"].values())


def same_bucket(read: float, exact: float) -> bool:
    """Whether a percentile that is read from buckets lies in the exact one's bucket."""
    edges = [0.0, *s.RESPONSE_GAP.buckets, math.inf]
    place = next(index for index, edge in enumerate(edges[1:]) if exact <= edge)
    return edges[place] <= read <= edges[place + 1]
