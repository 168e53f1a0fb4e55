"""B2: how much of quotas and budgets is used, by hand in the twelve calls: in April 2026 there is one of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from otel_voicebot.errors import UsageError
from otel_voicebot.models import Selection, Terms
from otel_voicebot.models.quotas import Moment, Quotas, as_rows, read_quotas
from otel_voicebot.reports.answer import Wanted, answer
from tests.models.twelve import AS_OF, HERE, opened

FILE = Quotas.model_validate(
    {
        "quotas": [
            {"service": "deepgram", "component": "stt", "period": "month", "seconds": 2.4},
            {"service": "openai", "period": "month", "tokens": 11_000, "calls": 4, "warning_share": 0.25},
            {"service": "elevenlabs", "component": "stt", "period": "month", "characters": 10},
            {"service": "telephony", "period": "month", "calls": 1, "usd": 0.05},
        ],
        "budgets": [{"period": "day", "usd": 0.01}, {"period": "month", "usd": 0.0125}],
    }
)


def used(store: Path, moment: Moment, selection: Selection | None = None) -> list[dict[str, Any]]:
    """Rows of the model."""
    with opened(store, selection, brief=True) as engine:
        engine.give("quotas", as_rows(FILE, moment))
        rows: list[dict[str, Any]] = engine.table("quota_use").to_pylist()
        services = {row["service"]: row for row in engine.table("services").to_pylist()}
    assert (services["deepgram"]["quota_share"], services["deepgram"]["quota_state"]) == (
        rows[0]["used_share"],
        rows[0]["state"],
    )
    assert services["elevenlabs"]["quota_state"] is None  # its quota is of another component
    return rows


def test_used_shares_and_the_day_when_it_is_all_gone(twelve: Path) -> None:
    """4.5 of 30 days have passed and one call of 30 s came: what is left at that pace, and when it ends."""
    rows = used(twelve, Moment(AS_OF))
    found = [(row["service"], row["unit"], row["used"], row["state"]) for row in rows]
    assert found == [
        ("deepgram", "seconds", 2.0, "warning"),
        ("openai", "calls", 1, "warning"),
        ("openai", "tokens", 1_100, "ok"),
        ("elevenlabs", "characters", 0, "ok"),
        ("telephony", "calls", 1, "used_up"),
        ("telephony", "usd", 0.005, "ok"),
        (None, "usd", 0, "ok"),  # nothing was used on the fifth
        (None, "usd", pytest.approx(0.0092), "ok"),
    ]
    first = datetime(2026, 4, 1, tzinfo=UTC)
    day = timedelta(days=1)
    assert rows[0]["used_share"] == pytest.approx(2 / 2.4)
    assert rows[0]["projected_share"] == pytest.approx(2 / 2.4 * 30 / 4.5)
    assert rows[0]["used_up_at"] == first + 5.4 * day
    assert rows[1]["used_up_at"] == first + 18 * day
    assert rows[2]["used_up_at"] is None  # it lasts
    assert rows[4]["used_up_at"] is None  # it is gone
    assert (rows[7]["begin_time"], rows[7]["end_time"]) == (first, first + 30 * day)


def test_what_is_later_or_of_another_month_is_not_counted(twelve: Path) -> None:
    """Until the ninth of March: its first eight days, eleven calls, with one model call of unknown price and usage."""
    until = datetime(2026, 3, 9, tzinfo=UTC)
    rows = used(twelve, Moment(until), Selection(until=until))
    by = {(row["service"], row["unit"], row["period"]): row for row in rows}
    assert by["telephony", "calls", "month"]["used"] == 10
    assert (by["openai", "tokens", "month"]["used"], by["openai", "tokens", "month"]["unknown"]) == (11 * 1_100, 1)
    assert by[None, "usd", "month"]["used"] == pytest.approx(0.1509 - 0.0092)
    assert by[None, "usd", "month"]["unknown"] == 2
    # the day before midnight: s11, on the web
    assert by[None, "usd", "day"]["used"] == pytest.approx(0.0042)
    assert by[None, "usd", "day"]["begin_time"] == datetime(2026, 3, 8, tzinfo=UTC)


def test_a_window_that_ends_later_than_now_is_asked_of_now(twelve: Path) -> None:
    """All of April, asked on the fifth: projected from the days that have passed, and the day is the fifth."""
    wanted = Wanted(sections=("quotas",), quotas=HERE / "quotas.json")
    april = Selection(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    (told,) = answer(twelve, april, Terms(as_of=AS_OF), wanted).asked
    (expected,) = answer(twelve, replace(april, until=None), Terms(as_of=AS_OF), wanted).asked
    assert told.rows == expected.rows
    assert told.rows[0]["projected_share"] == pytest.approx(2 / 26 * 30 / 4.5)
    assert told.rows[-2]["begin_time"] == datetime(2026, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "moment",
    [
        Moment(AS_OF, whole=False),
        Moment(AS_OF, since=datetime(2026, 4, 2, tzinfo=UTC)),
        Moment(datetime(2026, 4, 1, 1, tzinfo=UTC)),
    ],
)
def test_no_end_is_foretold_from_a_part(twelve: Path, moment: Moment) -> None:
    """Where a filter or the window leaves sessions out, or the period has only begun, there is no projection."""
    row = used(twelve, moment)[0]
    assert (row["projected_share"], row["used_up_at"]) == (None, None)
    assert row["whole"] is (moment.whole and moment.since is None)


@pytest.mark.parametrize(
    ("at", "period", "begin", "end"),
    [
        ("2026-12-31T23:59:59", "month", "2026-12-01", "2027-01-01"),
        ("2027-01-01T00:00:00", "month", "2026-12-01", "2027-01-01"),
        ("2028-02-29T08:00:00", "month", "2028-02-01", "2028-03-01"),
        ("2028-02-29T08:00:00", "day", "2028-02-29", "2028-03-01"),
    ],
)
def test_periods_are_those_of_the_calendar(at: str, period: Any, begin: str, end: str) -> None:
    """Days and months in UTC; what is asked at midnight is asked of the period that has just ended."""
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (at, begin, end)]
    assert Moment(moments[0]).period(period) == tuple(moments[1:])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("quotas:\n  - {service: x, period: month}", "quotas[0]: needs one of calls, tokens, characters, seconds, usd"),
        (
            "quotas:\n  - {service: x, period: week, calls: 1}",
            "quotas[0].period: 'week': Input should be 'day' or",
        ),
        ("quotas:\n  - {service: x, period: day, calls: 0}", "quotas[0].calls: 0: Input should be greater than 0"),
        ("quotas:\n  - {service: x, period: day, calls: yes}", "quotas[0].calls: True: Input should be a valid number"),
        ("quotas:\n  - {period: day, calls: 1}", "quotas[0].service: Field required"),
        ("budgets:\n  - {period: day, usd: .inf}", "budgets[0].usd: inf: Input should be a finite number"),
        ("warning_share: 80\nbudgets:\n  - {period: day, usd: 1}", "warning_share: 80: Input should be less than"),
        ("budget: []", "budget: Extra inputs are not permitted"),
        ("warning_share: 0.5", "names no quota: it needs quotas or budgets, lists"),
    ],
)
def test_a_wrong_quotas_file_is_refused_by_field_and_value(tmp_path: Path, text: str, says: str) -> None:
    """One sentence that names the file, the field, the value and what is allowed."""
    path = tmp_path / "quotas.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_quotas(path)
    assert str(refused.value).startswith(f"quotas file {path}: ")
    assert says in str(refused.value)
