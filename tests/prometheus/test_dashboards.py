"""The committed dashboards: Grafana's own types take them, nothing overlaps, everything has a name: C16, D7, E6."""

import json
import re
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.asking import loaded
from grafana.generate import main
from grafana.panels import WIDTH
from grafana.promql import level, rate, within
from otel_voicebot import semconv as s

UIDS = {f"voicebot-{name}" for name in ("overview", "latency", "business", "cost", "quality", "bots", "pipeline")}
Json = dict[str, Any]


@pytest.fixture(params=sorted(UIDS))
def dashboard(request: pytest.FixtureRequest) -> Json:
    """One after the other."""
    return loaded()[request.param]


def panels(dashboard: Json) -> list[Json]:
    """Without the headings of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_the_files_are_what_the_source_writes() -> None:
    """Seven dashboards, each as the code makes it: generating again changes nothing."""
    assert set(loaded()) == UIDS
    assert main(["--check"]) == 0


def test_grafanas_own_types_take_it_and_give_it_back(dashboard: Json) -> None:
    """Read into the SDK's Dashboard, with its panels and queries, and written again it is the same JSON."""
    register_default_plugins()
    read = Dashboard.from_json(dashboard)
    assert all(type(panel).__name__ in ("Panel", "RowPanel") for panel in read.panels or ())
    again = json.loads(json.dumps(read, cls=JSONEncoder))
    assert again == dashboard


def test_no_panels_overlap_or_stick_out(dashboard: Json) -> None:
    """No two share a cell of the 24 columns, ids are different, and each stands below the heading of its row."""
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] >= 0 and place["w"] > 0 and place["x"] + place["w"] <= WIDTH for place in places)
    for one, other in combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_each_panel_says_what_it_shows(dashboard: Json) -> None:
    """A title of its own in its row, a description, a unit, and a legend that names what each query gives."""
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"]
        for target in panel["targets"]:
            by = re.search(r"by \(([^)]*)\)", target["expr"])
            assert target["legendFormat"], panel["title"]
            # what it is summed by is told by the legend, or is a column of the table
            if by and panel["type"] in ("timeseries", "stat"):
                labels = set(by[1].split(", ")) - {"le"}
                assert all(f"{{{{{label}}}}}" in target["legendFormat"] for label in labels), target
        if panel["type"] in ("timeseries", "heatmap"):
            legend = panel["options"]["legend"]
            assert legend.get("showLegend", legend.get("show")) is True
        if panel["type"] == "table":
            columns = panel["transformations"][-1]["options"]["renameByName"].values()
            assert set(columns) >= {target["legendFormat"] for target in panel["targets"]}


def test_variables_and_refresh_are_those_of_every_dashboard(dashboard: Json) -> None:
    """Data source, bot, environment, variant with All; every 15 s; windows are Grafana's, none is fixed."""
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert list(variables) == ["datasource", "bot", "environment", "variant"]
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    for name in ("bot", "environment", "variant"):
        one = variables[name]
        assert (one["includeAll"], one["multi"], one["allValue"]) == (True, True, ".*")
        assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert dashboard["refresh"] == "15s"
    for panel in panels(dashboard):
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            windows = set(re.findall(r"\[([^\]]*)\]", target["expr"]))
            # a number or a table is of the whole range, a curve of each step
            assert windows <= {"$__range" if target.get("instant") else "$__rate_interval"}, target["expr"]


def test_exemplars_are_asked_for_where_there_are_some() -> None:
    """The response gap's curve and heatmap ask for them; nothing else has any."""
    asked = {
        (uid, panel["title"])
        for uid, dashboard in loaded().items()
        for panel in panels(dashboard)
        for target in panel["targets"]
        if target["exemplar"]
    }
    assert asked == {("voicebot-overview", "Response gap"), ("voicebot-latency", "Response gaps")}


def test_what_the_metrics_dont_have_is_refused() -> None:
    """A label that a metric lacks, and an edge that is none of its buckets', are errors of the generator."""
    with pytest.raises(ValueError, match=r"voicebot\.turns has no label model"):
        rate(s.TURNS, "model")
    with pytest.raises(ValueError, match=r"has no label colour"):
        level(s.SESSIONS_ACTIVE, colour="red")
    with pytest.raises(ValueError, match=r"1\.7 is no edge of voicebot\.turn\.response_gap"):
        within(1.7, s.RESPONSE_GAP)
