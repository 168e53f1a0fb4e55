"""Every KPI of twelve calls that can be counted with a pencil."""

import csv
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from otel_voicebot.models import Selection, Terms
from otel_voicebot.reports import report, source
from otel_voicebot.reports.scope import Scope
from otel_voicebot.store import SpanStore
from tests.models.calls import batch, span
from tests.models.twelve import AS_OF, HERE, answers, moved, opened, recompute, tables, take_in
from tests.models.twelve_sections import KEYS, counted, of_models


def as_float(text: str) -> float | None:
    """A number of ``expected.csv``, or a fraction, divided as a computer does."""
    if not text:
        return None
    above, _, below = text.partition("/")
    return float(above) / float(below or 1)


def pencilled() -> dict[str, tuple[object, ...]]:
    """What ``expected.csv`` says, in the form of ``answers``."""
    with (HERE / "expected.csv").open(newline="") as file:
        return {
            row["kpi"]: (
                as_float(row["value"]),
                as_float(row["numerator"]),
                as_float(row["denominator"]),
                int(row["excluded"]),
                int(row["provisional"]) if row["provisional"] else None,
            )
            for row in csv.DictReader(file)
        }


def same(found: tuple[object, ...], wanted: tuple[object, ...]) -> bool:
    """Equal to fifteen digits, which is what a double holds for certain."""
    return all(
        one == two or (one is not None and two is not None and one == pytest.approx(two, rel=1e-15, abs=0))
        for one, two in zip(found, wanted, strict=True)
    )


def exact(found: recompute.Answer) -> tuple[object, ...]:
    """A recomputed KPI in the form of ``answers``."""

    def number(fraction: Fraction | None) -> float | None:
        return None if fraction is None else float(fraction)

    return number(found.value), number(found.numerator), number(found.denominator), found.excluded, found.provisional


def test_the_spans_are_those_of_the_tables() -> None:
    """``spans.jsonl`` is what ``calls.py`` writes."""
    assert (HERE / "spans.jsonl").read_text().splitlines() == list(tables.lines())


def test_a_script_without_the_package_counts_what_the_pencil_did() -> None:
    """``recompute.py`` finds every number and every session of ``expected.csv`` in the raw spans."""
    script = subprocess.run(
        [sys.executable, "-S", "-E", HERE / "recompute.py"], capture_output=True, text=True, check=False
    )
    said = f"{len(pencilled())} KPIs, 0 differ\n{len(recompute.expected_sections())} cells of sections, 0 differ\n"
    assert (script.returncode, script.stdout) == (0, said)


@pytest.mark.parametrize("brief", [True, False])
def test_the_models_count_what_the_pencil_did(twelve: Path, brief: bool) -> None:
    """Each KPI equals the pencil's: value, numerator, denominator, what is left out, what is provisional."""
    with opened(twelve, brief=brief) as engine:
        found = answers(engine)
    wanted = pencilled()
    assert found
    assert found.keys() == wanted.keys()
    assert {name: found[name] for name in found if not same(found[name], wanted[name])} == {}


def test_every_kpi_of_a_report_is_pencilled_with_its_sessions(twelve: Path) -> None:
    """Each name of `all_kpis` has a row, which names sessions wherever it has a number to count."""
    with opened(twelve, brief=True) as engine:
        names = set(answers(engine))
    assert names == pencilled().keys()
    for name, row in recompute.expected().items():
        assert row.denominator_sessions or not row.denominator, name
        assert row.numerator_sessions or row.denominator_sessions or not row.numerator, name


def test_the_models_sections_are_the_pencils(twelve: Path) -> None:
    """Money, limits, parts, speech, intents, and each call's journey: every row there is, cell by cell."""
    found, wanted = of_models(twelve), counted(recompute.expected_sections())
    assert {section for section, _, _ in wanted} == KEYS.keys()
    assert {key: found.get(key) for key in wanted.keys() | found.keys() if found.get(key) != wanted.get(key)} == {}


def test_a_step_of_a_journey_says_what_happened(twelve: Path) -> None:
    """Kind and subject of each, in its order."""
    with opened(twelve, brief=False) as engine:
        rows = engine.table("journey").to_pylist()
    found = {(row["session_id"], str(row["position"])): f"{row['kind']} {row['what'] or ''}".strip() for row in rows}
    wanted = {
        (call, position): text.split(" ", 1)[1]
        for (name, call, position), (text, _) in recompute.expected_sections().items()
        if name == "journey"
    }
    assert found == wanted


def test_two_callers_at_once(tmp_path: Path) -> None:
    """s06 moved into s07's 90 seconds: two at once in that hour, none in the one it left. Only minutes move too."""
    lines = moved("s06", "2026-03-04T11:00:30")
    found, before = of_models(take_in(tmp_path, lines)), counted(recompute.expected_sections())
    assert found == counted(recompute.sections.recompute(recompute.read(lines)))
    hour = ("concurrency", "2026-03-04T11")
    changed = {key: found.get(key) for key in before if found.get(key) != before[key]}
    assert {key: value for key, value in changed.items() if key[0] != "load"} == {
        (*hour, "begun"): 2,
        (*hour, "peak"): 2,
        ("concurrency", "2026-03-04T09", "begun"): None,
        ("concurrency", "2026-03-04T09", "peak"): None,
    }


EDGE = datetime(2026, 3, 2, 10, 1, tzinfo=UTC)
"""s01 ended a day before."""


def test_moving_a_call_across_the_edge_of_a_window_changes_the_kpis_of_that_window_alone(tmp_path: Path) -> None:
    """s02 repeats s01 to the last microsecond of the day after it; a second later s01 was solved at once."""
    counted = {}
    for name, start in (("inside", EDGE), ("outside", EDGE + timedelta(seconds=1))):
        lines = moved("s02", start.replace(tzinfo=None).isoformat())
        with opened(take_in(tmp_path / name, lines)) as engine:
            found = answers(engine)
        wanted = {kpi: exact(answer) for kpi, answer in recompute.recompute(lines).items()}
        assert {kpi: found[kpi] for kpi in found if not same(found[kpi], wanted[kpi])} == {}
        counted[name] = found
    inside, outside = counted["inside"], counted["outside"]
    assert {name for name in inside if inside[name] != outside[name]} == {"fcr_1d", "strict_containment_24h"}
    # s01 is solved, and s02 begins an issue of its own
    assert (inside["fcr_1d"][1:3], outside["fcr_1d"][1:3]) == ((4, 9), (6, 10))
    assert (inside["strict_containment_24h"][1:3], outside["strict_containment_24h"][1:3]) == ((5, 9), (6, 9))


def test_a_windows_last_moment_makes_an_issue_count(twelve: Path) -> None:
    """s12 ends on 4 April at 18:00:30: a day later to the microsecond it counts, before that it is provisional."""
    over = datetime(2026, 4, 5, 18, 0, 30, tzinfo=UTC)
    for as_of, expected in ((over - timedelta(microseconds=1), (4, 9, 1)), (over, (5, 10, 0))):
        with opened(twelve, as_of=as_of) as engine:
            _, numerator, denominator, _, provisional = answers(engine)["fcr_1d"]
        assert (numerator, denominator, provisional) == expected


def test_a_repeat_contact_counts_wherever_it_was(twelve: Path) -> None:
    """A report of s01's morning knows that its caller came back in the evening, outside the report's window."""
    morning = Selection(until=datetime(2026, 3, 1, 12, tzinfo=UTC))
    with opened(twelve, morning) as engine:
        found = answers(engine)
    assert found["sessions"][0] == 1
    assert found["fcr_1d"] == (0.0, 0.0, 1.0, 0, 0)


def call(name: str, start: float, hour: int) -> list[dict[str, Any]]:
    """A resolved call of one caller, its intent on the NLU's span alone."""
    rows = [
        span("session", start, start + 60, outcome="resolved", user_hash="a" * 64),
        span("nlu", start + 1, start + 2, 1, intent="loan"),
    ]
    return [{**row, "session_id": name, "trace_id": name.encode().rjust(16), "ingest_time": hour} for row in rows]


def test_a_window_looks_back_at_the_days_before_it(tmp_path: Path) -> None:
    """A call of the window that repeats one of two days before begins no issue of a week, but one of a day."""
    days = 86_400
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    # each day's calls lie in files of that day: a report of the last day doesn't open the others for anything else
    for name, day in (("first", 0), ("again", 2)):
        stamp = int((noon + timedelta(days=day)).timestamp()) * 10**9
        SpanStore(tmp_path, clock=lambda stamp=stamp: stamp).commit([batch(call(name, day * days, stamp // 1000))])
    now = noon + timedelta(days=60)
    found = source.ask(
        tmp_path,
        Selection(since=noon + timedelta(days=1, hours=23)),
        now,
        lambda opened: (len(opened.snapshot.files), answers(opened.engine)),
        brief=True,
        terms=Terms(),
    )
    files, kpis = found
    assert files == 1
    assert kpis["sessions"][0] == 1
    assert kpis["fcr_1d"][1:3] == (1, 1)
    assert kpis["fcr_7d"][1:3] == (0, 0)


def test_an_empty_period_has_no_value_and_says_why(twelve: Path) -> None:
    """Without a session counts are 0, everything else is null, and each null has its reason."""
    with opened(twelve, Selection(until=datetime(2026, 1, 1, tzinfo=UTC)), brief=True) as engine:
        found = report.compute(engine, Scope("data", AS_OF)).kpis
    assert {kpi.name: kpi.value for kpi in found if kpi.value is not None} == {"sessions": 0, "turns": 0}
    assert all(kpi.note for kpi in found if kpi.value is None)


def test_without_callers_fcr_is_null_and_says_why(tmp_path: Path) -> None:
    """No ``user.hash``: nobody is known to have called again, and nothing is made up."""
    anonymous = tables.CALLS
    for line in anonymous.splitlines():
        if line.strip().startswith("s"):
            name, caller, *_ = line.split()
            anonymous = anonymous.replace(f"{name}  {caller} ", f"{name}  - ")
    with opened(take_in(tmp_path, tables.lines(anonymous)), brief=True) as engine:
        found = {kpi.name: kpi for kpi in report.compute(engine, Scope("data", AS_OF)).kpis}
    for name in ("fcr_1d", "fcr_7d", "fcr_30d", "strict_containment_24h"):
        assert found[name].value is None
        assert "hash key" in (found[name].note or "")
    assert found["containment"].value == 0.7
