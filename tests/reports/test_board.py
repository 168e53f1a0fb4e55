"""The page of `report --format html` in a real browser without a network, and the same charts as PNG (A8, D7)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib import image

from otel_voicebot.errors import CannotStartError, NoDataError
from otel_voicebot.models import Selection, Terms
from otel_voicebot.reports import board, drawings
from otel_voicebot.reports.answer import Wanted, answer
from otel_voicebot.reports.kpis import Kpi, effect
from otel_voicebot.reports.measures import BAD, MEASURES
from otel_voicebot.reports.plots import charts
from otel_voicebot.reports.report import Report, document, grids
from tests.app.served import until
from tests.cli.conftest import call, commit
from tests.models.twelve import AS_OF, HERE
from tests.reports.browser import opened

CHARTS = ["spread", "components", "trend", "rates", "intents", "outcomes", "costs"]
HOSTILE = """</script><script>hacked=1</script><img src=x onerror=hacked=1><a href="javascript:hacked=1">b</a>$\\frac"""


@pytest.fixture(scope="module")
def found(twelve: Path) -> Report:
    """Nine of the twelve calls, beside the two of the days before."""
    selection = Selection(since=datetime(2026, 3, 2, tzinfo=UTC), until=datetime(2026, 3, 20, tzinfo=UTC))
    return answer(
        twelve, selection, Terms(as_of=AS_OF), Wanted(change=True, pictures=True, prices=HERE / "prices.yaml")
    )


def written(report: Report, file: Path) -> Path:
    """Its page."""
    file.write_text(board.render(report, list(grids(report).values())), encoding="utf-8")
    return file


def sizes(page: Any, name: str, side: str) -> list[float]:
    """How wide or high a chart's bars are drawn, in pixels."""
    found: list[float] = page.locator(f"#{name} .bars .point path").evaluate_all(
        f"all => all.map(one => one.getBBox().{side})"
    )
    return found


def test_charts_are_drawn_without_a_network(found: Report, tmp_path: Path) -> None:
    """Every chart stands in the page as it is asked for, drawn; nothing is loaded, nothing complained about."""
    with opened(written(found, tmp_path / "report.html")) as (page, trouble):
        page.wait_for_selector("#costs .bars .point path")
        assert page.locator(".chart").evaluate_all("all => all.map(one => one.id)") == CHARTS
        assert page.locator(".chart .main-svg").count() >= len(CHARTS)
        assert found.pictures is not None
        assert found.pictures.spread is not None
        counts = found.pictures.spread.counts
        heights = sizes(page, "spread", "height")
        assert np.array(heights) / max(heights) == pytest.approx(np.array(counts) / max(counts), abs=0.01)
        names = page.locator("#intents .yaxislayer-above text").all_text_contents()
        assert sorted(names) == ["balance", "complaint", "loan", "payment_plan"]
        longest = dict(zip(names, sizes(page, "intents", "width"), strict=True))
        assert longest["balance"] == pytest.approx(3 * longest["payment_plan"], rel=0.02)
        assert page.locator("#trend .scatterlayer .trace").count() == 2
        assert trouble == []


def test_charts_answer_to_the_mouse(found: Report, tmp_path: Path) -> None:
    """Under the mouse a bar tells its number."""
    with opened(written(found, tmp_path / "report.html")) as (page, trouble):
        page.wait_for_selector("#intents .bars .point path")
        page.locator("#intents .bars .point path").last.hover(force=True)  # a layer of plotly's own lies above
        page.wait_for_selector("#intents .hoverlayer .hovertext")
        assert page.locator("#intents .hoverlayer .hovertext").text_content() == "balance: 3"
        assert trouble == []


def test_light_dark_and_narrow(found: Report, tmp_path: Path) -> None:
    """Charts take the colours of light and of dark, also when that changes, and fit a telephone."""
    file = written(found, tmp_path / "report.html")
    with opened(file, color_scheme="light", viewport={"width": 390, "height": 800}) as (page, trouble):
        fill = "getComputedStyle(document.querySelector('#spread .bars .point path')).fill"
        page.wait_for_selector("#costs .bars .point path")
        light = page.evaluate(fill)
        assert light == "rgb(31, 122, 82)"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.emulate_media(color_scheme="dark")
        until(lambda: bool(page.evaluate(fill) != light))  # the page's policy forbids wait_for_function to ask twice
        assert page.evaluate(fill) == "rgb(79, 185, 138)"
        assert trouble == []


def test_cards_say_how_it_changed(found: Report, tmp_path: Path) -> None:
    """A card has the KPI's value, its change, and whether that is better or worse, also in words."""
    with opened(written(found, tmp_path / "report.html"), java_script_enabled=False) as (page, _):
        assert page.locator("[data-kpi=sessions] b").inner_text() == "9"
        gap = page.locator("[data-kpi=response_gap_p50_s]")
        assert gap.locator("b").inner_text() == "1.50 s"
        assert gap.locator(".change").inner_text() == "▲ +500 ms (+50.0 %) worse"
        assert "94.6 % of what was used has a price" in page.locator("[data-kpi=cost_usd]").inner_text()
        assert "better" not in page.locator("[data-kpi=aht_s] .change").inner_text()
        assert "Charts need scripts" in page.locator("noscript").inner_text()
        assert page.locator("table").count() == 5


def test_a_card_says_what_is_provisional(twelve: Path) -> None:
    """Three issues whose month isn't over yet count in no first call resolution of 30 days, one in none of 7."""
    shown = answer(twelve, Selection(), Terms(as_of=AS_OF), Wanted())
    assert "<b>25.0 %</b>\n<small>still provisional: 1</small>" in board.render(shown, [])


def test_the_page_carries_the_document(found: Report, tmp_path: Path) -> None:
    """A program reads in it what `report --json` has."""
    with opened(written(found, tmp_path / "report.html")) as (page, _):
        assert json.loads(page.locator("#report").text_content()) == json.loads(json.dumps(document(found)))


def hostile(data: Path) -> Report:
    """Two calls whose sender names everything so that it would run, or load, or be a formula."""
    for name, trace in (("one", "a"), ("two", "b")):
        rows = call(name, trace, 1.0, bot=HOSTILE, intent=HOSTILE, channel=HOSTILE)
        rows[0]["outcome"] = HOSTILE
        rows[2] |= {"provider": HOSTILE, "model": f"{name}{HOSTILE}"}
        rows.append({**rows[2], "span_id": f"{7:016x}", "component": "nlu", "name": "nlu", "confidence": 0.5})
        commit(data, *rows)
    wanted = Wanted(pictures=True, group_by=("bot",), sections=("intents", "costs"))
    return answer(data, Selection(), Terms(as_of=AS_OF), wanted)


def test_hostile_names_are_text(tmp_path: Path) -> None:
    """Names of bots, intents and models are shown and do nothing, in charts and in tables."""
    with opened(written(hostile(tmp_path / "data"), tmp_path / "report.html")) as (page, trouble):
        page.wait_for_selector("#intents .bars .point path")
        assert page.evaluate("window.hacked") is None
        assert page.locator("img, a").count() == 0
        assert page.locator("#intents .yaxislayer-above text").text_content().startswith("</script><script>")
        assert "<img src=x onerror=hacked=1>" in page.locator("main").inner_text()
        assert trouble == []


def test_a_script_that_got_in_would_not_run(found: Report, tmp_path: Path) -> None:
    """The policy lets no script run but the page's own, even if one were in it."""
    file = written(found, tmp_path / "report.html")
    file.write_text(file.read_text().replace("</main>", "<script>window.hacked=1</script></main>"))
    with opened(file) as (page, trouble):
        page.wait_for_selector("#costs .bars .point path")
        assert page.evaluate("window.hacked") is None
        assert any("Content Security Policy" in line for line in trouble)


def test_figures_are_what_plotly_knows(found: Report) -> None:
    """Plotly's own validator takes every figure, once colours are colours."""
    for chart in charts(found):
        go.Figure(coloured(chart.figure))


def coloured(value: Any) -> Any:
    """A figure whose named colours are one."""
    if isinstance(value, Mapping):
        return {key: coloured(item) for key, item in value.items()}
    if isinstance(value, list):
        return [coloured(item) for item in value]
    return "#336699" if isinstance(value, str) and value.startswith("--") else value


def test_pictures_are_drawn(found: Report, tmp_path: Path) -> None:
    """One PNG a chart, that can be decoded, with ink of the chart's colours on it."""
    files = drawings.draw(found, tmp_path / "new" / "charts")
    assert [file.name for file in files] == [f"{name}.png" for name in CHARTS]
    for file in files:
        pixels = pixels_of(file)
        assert pixels.shape[0] > 300
        assert pixels.shape[1] > 800
        assert 0.005 < np.mean(pixels.min(axis=2) < 250) < 0.6, file.name
    green = np.array([0x1F, 0x7A, 0x52])
    assert np.sum(np.all(pixels_of(files[0]) == green, axis=2)) > 1000


def pixels_of(file: Path) -> Any:
    """Red, green and blue of a picture, 0 to 255."""
    return np.round(image.imread(file)[..., :3] * 255).astype(int)


def test_hostile_names_are_drawn(tmp_path: Path) -> None:
    """A name with dollar signs is no formula, and one with markup no markup."""
    assert len(drawings.draw(hostile(tmp_path / "data"), tmp_path)) >= 4


def test_nothing_to_draw(found: Report, tmp_path: Path) -> None:
    """Without what charts show there is no picture, and a page has tables and no script."""
    bare = replace(found, pictures=None)
    with pytest.raises(NoDataError, match="nothing to draw"):
        drawings.draw(bare, tmp_path)
    with opened(written(bare, tmp_path / "report.html")) as (page, trouble):
        assert page.locator(".chart").count() == 0
        assert page.locator("table").count() == 5
        assert trouble == []


def test_a_directory_that_cannot_be_written(found: Report, tmp_path: Path) -> None:
    """It is named in one sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStartError, match="can't write the charts into"):
        drawings.draw(found, tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "before", "after", "told"),
    [
        ("containment", 0.5, 0.6, "better"),
        ("escalation_rate", 0.5, 0.6, "worse"),
        ("cost_savings_usd", 5.0, 4.0, "worse"),
        ("mos", 4.0, 4.0, "same"),
        ("sessions", 5, 9, None),
        ("sessions", 5, 5, None),
        ("containment", None, 0.6, None),
    ],
)
def test_a_change_is_better_or_worse(name: str, before: float | None, after: float, told: str | None) -> None:
    """By the one table of directions; without a direction, or a value before, nothing is said."""
    old, new = (Kpi(name, value, "1", None, None, None, None, None) for value in (before, after))
    assert effect(replace(new, previous=old)) == told


def test_each_direction_is_of_a_kpi_of_the_report(found: Report) -> None:
    """Or of what ``compare`` has beside it: a name with a typing mistake would say nothing for ever."""
    assert set(BAD) <= {kpi.name for kpi in found.kpis} | set(MEASURES)
