"""Data frames (D2, C3, A8): every report function as pandas, with the values of the command line."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import otel_voicebot
from otel_voicebot import frames
from otel_voicebot.cli import main
from otel_voicebot.errors import NoDataError, UsageError
from otel_voicebot.reports.grid import cell
from otel_voicebot.reports.slow import Choice
from tests.cli.test_waits import two_days
from tests.models.twelve import AS_OF, HERE

PRICES = HERE / "prices.yaml"
WEEK = ("--since", "2026-03-04", "--until", "2026-03-07")
SINCE: Any = {"since": "2026-03-04", "until": "2026-03-07"}

__all__ = ["two_days"]


@pytest.fixture
def printed(twelve: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., str]:
    """What a command line prints of the twelve calls."""

    def run(*words: str, data: Path = twelve) -> str:
        assert main([*words, "--data", str(data)]) == 0
        return capsysbinary.readouterr().out.decode()

    return run


def as_csv(frame: pd.DataFrame) -> list[dict[str, str]]:
    """A frame's rows as CSV has them; whole numbers are floats in the frame."""
    rows = []
    for row in frame.astype(object).to_dict("records"):
        texts = {}
        for name, value in row.items():
            known = None if not isinstance(value, list | dict) and pd.isna(value) else value
            text = cell(known.to_pydatetime() if isinstance(known, pd.Timestamp) else known)
            texts[str(name)] = "" if text is None else str(text).removesuffix(".0")
        rows.append(texts)
    return rows


def rows(text: str) -> list[dict[str, str]]:
    """CSV's rows, likewise."""
    return [
        {name: value.removesuffix(".0") for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))
    ]


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), {}),
        (("--channel", "web"), {"channel": "web"}),
        (("--intent", "loan", *WEEK), {"intent": "loan", **SINCE}),
        ((*WEEK, "--change"), {"change": True, **SINCE}),
        ((*WEEK, "--change", "--group-by", "intent"), {"change": True, "group_by": ["intent"], **SINCE}),
    ],
)
def test_kpis(printed: Callable[..., str], twelve: Path, words: tuple[str, ...], asked: dict[str, Any]) -> None:
    """Every value is that of `report --csv`, and what is missing is missing."""
    frame = frames.kpis(twelve, prices=PRICES, **asked)
    assert as_csv(frame) == rows(printed("report", "--csv", "--prices", str(PRICES), *words))
    assert frame["value"].dtype == "float64"
    assert frame.attrs["filters"] == {name: asked[name] for name in ("channel", "intent") if name in asked}


@pytest.mark.parametrize("name", ["components", "waits", "outcomes", "segments", "intents", "costs", "sla"])
def test_sections(printed: Callable[..., str], twelve: Path, name: str) -> None:
    """A section has the rows of `report --section NAME --csv`."""
    found = frames.section(name, twelve, prices=PRICES)
    assert as_csv(found) == rows(printed("report", "--section", name, "--csv", "--prices", str(PRICES)))


@pytest.mark.parametrize("name", ["spans", "turns", "sessions"])
def test_tables(printed: Callable[..., str], twelve: Path, name: str) -> None:
    """Tables have the rows of `export NAME`, to the last nanosecond, in whole numbers where they are such."""
    found = getattr(frames, name)(twelve)
    exported = [json.loads(line) for line in printed("export", name, "--format", "jsonl").splitlines()]
    assert len(found) == len(exported)
    assert list(found.columns) == list(exported[0])
    for column in ("session_id", "start_unix_nano", "turns", "turn_index", "response_gap_s"):
        if column in found.columns:
            values = [None if pd.isna(value) else value for value in found[column].astype(object)]
            assert values == [row[column] for row in exported], column


def test_slow_and_trace(printed: Callable[..., str], twelve: Path) -> None:
    """The slowest turns and the spans of a call are those that are printed."""
    slowest = frames.slow(twelve, choice=Choice(limit=3))
    told = json.loads(printed("slow", "--json", "--limit", "3"))["turns"]
    assert [(row["session_id"], row["turn_index"]) for row in told] == list(
        zip(slowest["session_id"], slowest["turn_index"], strict=True)
    )
    spans = frames.trace("s01", twelve)
    drawn = json.loads(printed("trace", "s01", "--json"))["spans"]
    assert list(spans["span_id"]) == [row["span_id"] for row in drawn]
    assert [int(one) for one in spans["start_unix_nano"]] == [row["start_unix_nano"] for row in drawn]


def test_compare_and_why(printed: Callable[..., str], two_days: Path) -> None:
    """A comparison and a change have the numbers of `compare` and `why`."""
    days = ("2026-03-01..2026-03-02", "2026-03-02..2026-03-03")
    compared = frames.compare(*days, two_days, by="period")
    told = rows(printed("compare", *days, "--csv", data=two_days))
    assert [(row["kpi"], row["difference"]) for row in told] == [
        (row["kpi"], row["difference"]) for row in as_csv(compared)
    ]
    assert compared.attrs["verdict"]
    changed = frames.why(two_days, since="2026-03-02", until="2026-03-03")
    told = rows(printed("why", "--since", "2026-03-02", "--until", "2026-03-03", "--csv", data=two_days))
    assert as_csv(changed) == told


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda data: frames.kpis(data / "nowhere"), NoDataError, "nowhere"),
        (lambda data: frames.kpis(data, bot="nobody"), NoDataError, "no sessions: all time, bot nobody"),
        (lambda data: frames.kpis(data, since="soon"), UsageError, "since 'soon' is no time"),
        (lambda data: frames.kpis(data, since="1h", until="2h"), UsageError, "the window is empty"),
        (lambda data: frames.kpis(data, mood="good"), UsageError, "'mood' selects nothing: choose since, until"),
        (lambda data: frames.kpis(data, group_by=["mood"]), UsageError, "nothing can be grouped by 'mood'"),
        (lambda data: frames.kpis(data, change=True), UsageError, "has no beginning"),
        (lambda data: frames.section("mood", data), UsageError, "there is no section 'mood'"),
        (lambda data: frames.slow(data, intent="nothing"), NoDataError, "intent nothing"),
        (lambda data: frames.turns(data, intent="nothing"), NoDataError, "no turns"),
        (lambda data: frames.trace("nobody", data), NoDataError, "nobody"),
        (lambda data: frames.compare("a", "a", data), UsageError, "nothing to compare"),
        (lambda data: frames.why(data, against="soon"), UsageError, "is no period"),
    ],
)
def test_errors(twelve: Path, ask: Callable[[Path], object], error: type[Exception], says: str) -> None:
    """What the command line ends with an exit code for, is raised as the error's class, with the same sentence."""
    with pytest.raises(error, match=says):
        ask(twelve)


def test_as_of(twelve: Path) -> None:
    """The moment decides what is provisional, and from when "ago" counts."""
    found = frames.kpis(twelve, as_of=AS_OF).set_index("kpi")
    assert found.loc["fcr_1d", "provisional"] == 1
    assert frames.kpis(twelve, as_of=AS_OF, since="24h").set_index("kpi").loc["sessions", "value"] == 1


def test_what_came_after_the_moment_is_left_out(twelve: Path) -> None:
    """As of before s11's survey, as `report --as-of` says: its answer isn't there yet, nor is the call of April."""
    before, after = (
        frames.kpis(twelve, as_of=moment).set_index("kpi")
        for moment in ("2026-03-09T09:59:59Z", datetime(2026, 3, 9, 10, 0, 1, tzinfo=UTC))
    )
    assert before.loc["sessions", "value"] == after.loc["sessions", "value"] == 11
    assert (before.loc["csat_mean", "denominator"], after.loc["csat_mean", "denominator"]) == (3, 4)
    answers = frames.sessions(twelve, as_of="2026-03-09T09:59:59Z").set_index("session_id")["csat"]
    assert answers.isna()["s11"]
    assert "s12" not in answers
    with pytest.raises(UsageError, match="future"):
        frames.kpis(twelve, as_of="2999-01-01")


def test_one_group_is_named_by_itself(twelve: Path) -> None:
    """A name is no list of letters."""
    assert frames.kpis(twelve, group_by="intent").equals(frames.kpis(twelve, group_by=["intent"]))


def test_it_is_reached_from_the_package() -> None:
    """``otel_voicebot.frames`` is the module."""
    assert otel_voicebot.frames is frames
