"""The page that `trace --html` writes, opened in a real browser that has no network."""

import re
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from otel_voicebot.cli import main
from otel_voicebot.reports import page, trace
from otel_voicebot.reports.scope import Scope
from tests.reports.browser import opened
from tests.reports.captures import CAPTURES
from tests.reports.tables import NOON, SEGMENTS, cut_turns, exchange, nano, segment, span, spans
from tests.reports.test_trace import CALL

SCOPE = Scope("data", NOON)
HOSTILE = (
    """</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">"'><svg onload=hacked=1>{{7*7}}"""
)
PARTS = (
    segment("endpointing", 0.5, "min_delay"),
    segment("llm_first_token", 0.5, "local/rules") | {"span_id": "07"},
    segment("llm_speakable", 0.5, "local/rules") | {"span_id": "07"},
    segment("tts_first_audio", 0.3, "flite/slt") | {"span_id": "09"},
    segment("unattributed", 0.2) | {"detail": "after tts, before audio"},
)


def waits(start: float, *parts: dict[str, object]) -> pa.Table:
    """Turn 2 of `call-1`, whose wait began so many seconds after noon."""
    table = cut_turns(exchange("call-1", 2, *parts))
    moved = [
        {**one, "start_unix_nano": one["start_unix_nano"] - nano(20) + nano(start)}
        for one in table["segments"][0].as_py()
    ]
    return table.set_column(table.column_names.index("segments"), "segments", pa.array([moved], SEGMENTS))


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """The page of a whole call of six spans, of which turn 2 has a wait of five segments."""
    file = tmp_path / "call.html"
    file.write_text(page.render(trace.compute(CALL, SCOPE, "call-1", None, waits(7, *PARTS))), encoding="utf-8")
    return file


def test_everything_is_there(call: Path) -> None:
    """Every span and segment stands in the page, with its owner; nothing is asked for or complained about."""
    with opened(call) as (shown, trouble):
        rows = shown.locator("button.row").evaluate_all("rows => rows.map(row => row.dataset.span)")
        assert rows == ["02", "03", "07", "08", "09", "01"]
        listed = shown.locator(".segments tbody tr").all_inner_texts()
        assert [re.split(r"\s+", line)[:3] for line in listed] == [
            ["e", "endpointing", "min_delay"],
            ["l", "llm_first_token", "local/rules"],
            ["w", "llm_speakable", "local/rules"],
            ["a", "tts_first_audio", "flite/slt"],
            ["?", "unattributed", "nobody"],
        ]
        assert "after tts, before audio" in listed[4]
        assert shown.locator("g.segment").count() == 5
        assert "2.00 s" in shown.locator("summary .waited").inner_text()
        assert shown.locator(".said").inner_text().split() == ["bot", "hello"]
        assert "tool lookup (Timeout)" in shown.locator(".failures").inner_text()
        assert trouble == []


def test_bars_stand_where_they_belong(call: Path) -> None:
    """In the picture the segments touch each other, and lie between the caller's stop and the bot's first word."""
    with opened(call) as (shown, _):
        boxes = [one.bounding_box() for one in shown.locator("g.segment rect").all()]
        for left, right in pairwise(boxes):
            assert left["x"] + left["width"] == pytest.approx(right["x"], abs=1.5)
        assert boxes[0]["width"] == pytest.approx(boxes[3]["width"] * 5 / 3, rel=0.02)
        guides = shown.locator("button.row").first.locator(".guide")
        assert guides.nth(0).bounding_box()["x"] == pytest.approx(boxes[0]["x"], abs=1.5)
        assert guides.nth(1).bounding_box()["x"] == pytest.approx(boxes[4]["x"] + boxes[4]["width"], abs=1.5)


def test_keyboard(call: Path) -> None:
    """With the keyboard alone one walks along the spans, opens what one says, and comes back to where one was."""
    with opened(call) as (shown, trouble):
        shown.locator("button.row").first.focus()
        shown.keyboard.press("ArrowDown")
        shown.keyboard.press("ArrowDown")
        shown.keyboard.press("Enter")
        assert shown.locator("#panel-title").inner_text() == "voicebot.llm"
        assert "rules" in shown.locator("#attributes").inner_text()
        shown.keyboard.press("Escape")
        assert not shown.locator("#panel").is_visible()
        assert shown.evaluate("document.activeElement.dataset.span") == "07"
        assert trouble == []


def test_mouse(call: Path) -> None:
    """A segment under the mouse is lit in the list, too; a click on a segment's span shows that span."""
    with opened(call) as (shown, trouble):
        shown.locator("g.segment").nth(3).hover()
        assert shown.locator(".segments tr.on").inner_text().split()[1] == "tts_first_audio"
        shown.locator(".segments tr.on button").click()
        assert shown.locator("#panel-title").inner_text() == "voicebot.tts"
        shown.locator("#close").click()
        assert not shown.locator("#panel").is_visible()
        assert trouble == []


def test_without_scripts(call: Path) -> None:
    """Where scripts are off, every span and segment is still shown."""
    with opened(call, java_script_enabled=False) as (shown, _):
        assert shown.locator("button.row").count() == 6
        assert shown.locator(".segments tbody tr").count() == 5
        assert "Without scripts" in shown.locator("noscript").inner_text()


def test_light_and_dark(call: Path) -> None:
    """The page follows the reader's choice of a light or dark screen, and text stays readable on both."""
    contrasts = {}
    for scheme in ("light", "dark"):
        with opened(call, color_scheme=scheme) as (shown, _):
            paper, ink = shown.evaluate(
                "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color] }"
            )
            contrasts[scheme] = sorted(_luminance(one) for one in (paper, ink)), _luminance(paper)
    assert contrasts["light"][1] > 0.8
    assert contrasts["dark"][1] < 0.05
    for (dark, light), _ in contrasts.values():
        assert (light + 0.05) / (dark + 0.05) > 7


def _luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(one) / 255 for one in re.findall(r"\d+", colour)[:3]]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_hostile_text_is_text(tmp_path: Path) -> None:
    """Whatever a sender writes into names, ids, attributes and texts is shown as text; no script of theirs runs."""
    rows = spans(
        span("01", "turn", 0, 5, name=HOSTILE, turn_index=2, bot=HOSTILE, user_text=HOSTILE, session_id=HOSTILE),
        span(HOSTILE, "llm", 1, 2, name=HOSTILE, parent_span_id="01", turn_index=2, model=HOSTILE, status="error",
             error_type=HOSTILE, attributes=[(HOSTILE, HOSTILE)], resource_attributes=f'{{"a": "{"<!--<script>"}"}}',
             events=[{"unix_nano": nano(1), "name": HOSTILE, "attributes": "{}"}]),
    )  # fmt: skip
    parts = [segment(HOSTILE, 1.0, HOSTILE, HOSTILE) | {"detail": HOSTILE, "span_id": HOSTILE}]
    file = tmp_path / "hostile.html"
    file.write_text(page.render(trace.compute(rows, SCOPE, HOSTILE, 2, waits(1, *parts))), encoding="utf-8")
    with opened(file) as (shown, trouble):
        shown.locator("button.row.failed").click()
        assert HOSTILE in shown.locator("#attributes").inner_text()
        assert HOSTILE in shown.locator(".said").inner_text()
        assert shown.title() == f"Turn 2 of call {HOSTILE}"
        assert shown.evaluate("window.hacked") is None
        assert shown.locator("img").count() == 0
        assert trouble == []


def test_no_other_script_may_run(call: Path) -> None:
    """Even a script that got into the page would not run, and nothing would be loaded: the policy forbids it."""
    with opened(call) as (shown, trouble):
        shown.evaluate(
            """() => {
                const script = document.createElement("script"); script.textContent = "window.hacked = 1";
                const image = document.createElement("img"); image.src = "https://example.com/a.png";
                const holder = document.createElement("p"); holder.innerHTML = "<i onclick='window.hacked = 1'>x</i>";
                document.body.append(script, image, holder); holder.firstChild.click();
            }"""
        )
        assert shown.evaluate("window.hacked") is None
        for refused in ("inline script", "inline event handler", "https://example.com/a.png"):
            assert any(refused in line and "Content Security Policy" in line for line in trouble), trouble


def test_five_thousand_spans(tmp_path: Path) -> None:
    """A call of 5,000 spans is all there; only the turn with the longest wait is unfolded."""
    rows = [
        span(
            f"{number:04}", ("turn", "stt", "llm", "tts")[number % 4], number, number + 0.9, turn_index=number // 4 + 1
        )
        for number in range(5000)
    ]
    turns = cut_turns(
        *(exchange("call-1", turn, segment("endpointing", 0.2), segment("tts_first_audio", turn / 1000, "a/b"))
          for turn in range(1, 1251))
    )  # fmt: skip
    file = tmp_path / "long.html"
    file.write_text(page.render(trace.compute(spans(*rows), SCOPE, "call-1", None, turns)), encoding="utf-8")
    with opened(file) as (shown, trouble):
        assert shown.locator("button.row").count() == 5000
        assert shown.locator("g.segment").count() == 2500
        assert shown.locator("details[open]").evaluate_all("all => all.map(one => one.id)") == ["turn-1250"]
        shown.locator("#turn-17 summary").click()
        shown.locator("#turn-17 button.row").nth(2).click()
        assert shown.locator("#panel-title").inner_text() == "voicebot.llm"
        assert trouble == []


def test_capture_of_livekit(tmp_path: Path) -> None:
    """Of a call that LiveKit recorded every span and every segment of every wait is in the page."""
    data, file = tmp_path / "data", tmp_path / "call.html"
    assert main(["import", str(CAPTURES / "livekit.otlp.pb"), "--data", str(data)]) == 0
    assert (
        main(["trace", "b918dea641b05a51b5896c434798f6b2", "--data", str(data), "--html", "--output", str(file)]) == 0
    )
    with opened(file) as (shown, trouble):
        assert shown.locator("button.row").count() == 156
        assert shown.locator("details.turn").count() == 10
        assert shown.locator("details.turn .segments").count() == 8
        assert shown.locator("g.segment").count() == shown.locator(".segments tbody tr").count() > 50
        assert "abandoned error" in shown.locator("#turn-10 summary").inner_text()
        assert trouble == []
