"""The report of the twelve calls, in every form in which a program may read it."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from otel_voicebot.cli import main
from otel_voicebot.cli.report import write_report
from otel_voicebot.reports import report
from otel_voicebot.reports.scope import Scope
from tests.models.test_twelve_calls import pencilled, same
from tests.models.twelve import AS_OF, HERE, PRICES, opened, recompute
from tests.models.twelve_sections import KEYS, Key, cells_of, counted

FIELDS = ("value", "numerator", "denominator", "excluded", "provisional")
Answers = dict[str, tuple[object, ...]]


def number(text: object) -> object:
    """A cell of a CSV file."""
    return float(text) if isinstance(text, str) and text else None if text == "" else text


def of_rows(rows: list[dict[str, Any]]) -> Answers:
    """KPIs that are rows."""
    return {row["kpi"]: tuple(number(row[field]) for field in FIELDS) for row in rows}


def of_json(content: bytes) -> Answers:
    """KPIs of the JSON document; no provisional there is none."""
    return {name: tuple(one.get(field) for field in FIELDS) for name, one in json.loads(content)["kpis"].items()}


def of_page(content: bytes) -> Answers:
    """KPIs of the document that a page carries."""
    carried = re.search(r'<script type="application/json" id="report">(.*?)</script>', content.decode(), re.DOTALL)
    assert carried is not None
    return of_json(carried[1].encode())


READERS: dict[str, Callable[[bytes], Answers]] = {
    "json": of_json,
    "csv": lambda content: of_rows(list(csv.DictReader(io.StringIO(content.decode())))),
    "jsonl": lambda content: of_rows([json.loads(line) for line in content.splitlines()]),
    "html": of_page,
    "parquet": lambda content: of_rows(pq.read_table(io.BytesIO(content)).to_pylist()),
}


@pytest.mark.parametrize("kind", READERS)
def test_every_format_has_the_pencils_numbers(twelve: Path, tmp_path: Path, kind: str) -> None:
    """Value, numerator, denominator, exclusions and provisional of each KPI, to the last digit."""
    with opened(twelve, brief=True) as engine:
        found = report.compute(engine, Scope("data", AS_OF))
    write_report(found, kind, None, tmp_path / "report")
    read = READERS[kind]((tmp_path / "report").read_bytes())
    wanted = pencilled()
    assert read.keys() == wanted.keys()
    assert {name: read[name] for name in read if not same(read[name], wanted[name])} == {}


@pytest.mark.parametrize("kind", ["table", "md", "html"])
def test_people_are_told_what_is_provisional_and_of_when_prices_are(twelve: Path, tmp_path: Path, kind: str) -> None:
    """A person reads the share, what it is of, what isn't over yet, and the date of the prices."""
    with opened(twelve, brief=True) as engine:
        found = replace(report.compute(engine, Scope("data", AS_OF)), prices=PRICES.give(engine))
    write_report(found, kind, ["kpis"], tmp_path / "report")
    text = (tmp_path / "report").read_text()
    for part in ("44.4 %", "4 / 9", "1 (short, or caller or intent unknown), 1 provisional", "0.1509", "2026-03-01"):
        assert part in text


def cells(kind: str, text: str) -> dict[str, str]:
    """What a person reads as the value of each KPI."""
    if kind == "md":
        lines = [[cell.strip() for cell in line.split("|")[1:3]] for line in text.splitlines() if line.startswith("|")]
    elif kind == "html":
        lines = [list(pair) for pair in re.findall(r'<tr><td>(\w+)</td><td class="number">([^<]*)</td>', text)]
    else:
        lines = [line.strip().split("  ", 1) for line in text.splitlines() if line.startswith("  ")]
        lines = [[line[0], line[1].strip().split("  ")[0]] for line in lines if len(line) > 1]
    return {name: value for name, value in lines if name in pencilled()}


def read(text: str) -> tuple[float, float] | None:
    """A number that a person reads, in base units, and half of its last digit; None where it is missing."""
    if text == "-":
        return None
    if minutes := re.fullmatch(r"(\d+) min (\d+) s", text):
        return int(minutes[1]) * 60 + int(minutes[2]), 0.5
    digits, _, unit = text.partition(" ")
    scale = {"": 1, "%": 0.01, "s": 1, "ms": 0.001}[unit]
    places = len(digits.partition(".")[2])
    return float(digits) * scale, 0.5 * 10**-places * scale


@pytest.mark.parametrize("kind", ["table", "md", "html"])
def test_people_read_the_pencils_numbers(twelve: Path, tmp_path: Path, kind: str) -> None:
    """Every KPI, rounded to the digits that are shown; what is missing has a dash and no number."""
    with opened(twelve, brief=True) as engine:
        found = report.compute(engine, Scope("data", AS_OF))
    write_report(found, kind, ["kpis"], tmp_path / "report")
    shown = cells(kind, (tmp_path / "report").read_text())
    assert shown.keys() == pencilled().keys()
    for name, text in shown.items():
        number, value = read(text), pencilled()[name][0]
        if number is None or value is None:
            assert (number, value) == (None, None), name
        else:
            assert abs(number[0] - float(str(value))) <= number[1] * (1 + 1e-9), name


FILES = {"prices": "prices.yaml", "targets": "targets.json", "quotas": "quotas.json"}
LIMITED = {"sla", "quotas"}
SERVICES_NOW = ("quota_share", "quota_state")
"""A service's quota is that of the report's moment, the pencil's that of 8 March."""


def of_document(section: str, rows: list[dict[str, Any]]) -> dict[Key, object]:
    """The pencilled cells of a section of the JSON document; moments there are text."""
    moments = {"concurrency": ("hour",), "load": ("minute",), "quotas": ("used_up_at",)}.get(section, ())
    timed = [
        row | {name: datetime.fromisoformat(row[name]) for name in moments if row[name] is not None} for row in rows
    ]
    return cells_of(section, timed)


def test_the_command_tells_the_pencils_sections(twelve: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`report --json --section ...` with the files of prices, targets and quotas: each section that is pencilled."""
    found: dict[Key, object] = {}
    for as_of, names in ((AS_OF, KEYS.keys() - LIMITED), (recompute.LIMITS_AT, LIMITED)):
        files = [f"--{name}={HERE / file}" for name, file in FILES.items()]
        asked = [f"--section={name}" for name in sorted(names - {"components", "errors", "outcomes"})]
        words = ["report", "--json", f"--data={twelve}", f"--as-of={as_of.isoformat()}", *files, *asked]
        assert main(words) == 0
        told = json.loads(capsys.readouterr().out)["sections"]
        for name in names:
            found |= of_document(name, told[name])
    wanted = counted(recompute.expected_sections())
    late = {key for key in wanted if key[0] == "services" and key[2] in SERVICES_NOW}
    differs = {key for key in wanted.keys() | found.keys() if found.get(key) != wanted.get(key)} - late
    assert {key: (found.get(key), wanted.get(key)) for key in differs} == {}
