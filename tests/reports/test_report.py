"""The report: KPIs with what they are made of, sections, and every way to write them."""

import csv
import io
import json
import subprocess
import sys
from datetime import timedelta

import pyarrow as pa

from otel_voicebot.reports import censored, report
from otel_voicebot.reports.grid import as_arrow, as_csv, as_html, as_jsonl, as_markdown, as_text
from otel_voicebot.reports.scope import Scope, Unreadable
from tests.reports.tables import NOON, Tables

FIELDS = ("name", "unit", "value", "numerator", "denominator", "excluded", "exclusion")
KPIS = [
    dict(zip(FIELDS, row, strict=True))
    for row in (
        ("sessions", "{session}", 4.0, 4.0, None, 0, None),
        ("turns", "{turn}", 10.0, 10.0, None, 0, None),
        ("response_gap_p95_s", "s", 2.5, 2.5, 9.0, 1, "no answer"),
        ("wait_km_p95_s", "s", 2.75, 2.75, 10.0, 0, "no speech marks"),
        ("wait_km_p99_s", "s", None, None, 10.0, 0, "no speech marks"),
        ("wer", "1", 0.125, 5.0, 40.0, 2, "no reference"),
        ("csat_share", "1", None, 0.0, 0.0, 4, "no answer"),
        ("csat_mean", "1", 4.5, 9.0, 2.0, 2, "no answer"),
    )
]
WAITS = [
    dict(zip(("outcome", "abandon_reason", "timed", "untimed", "p50_s", "p95_s", "p99_s", "max_s"), row, strict=True))
    for row in (
        ("answered", None, 9, 0, 1.0, 2.5, 2.5, 2.5),
        ("abandoned", "hung_up", 1, 0, 2.75, 2.75, 2.75, 2.75),
    )
]
COMPONENTS = [
    {
        "component": "llm",
        "provider": "local",
        "model": "a|b",
        "operations": 10,
        "errors": 1,
        "p50_s": 0.4,
        "p95_s": 0.9,
        "p99_s": 1.0,
        "first_chunk_p50_s": None,
        "first_chunk_p95_s": None,
    },
]


def computed(scope: Scope | None = None) -> report.Report:
    """The report of the tables above."""
    tables = Tables(
        all_kpis=pa.Table.from_pylist(KPIS),
        components=pa.Table.from_pylist(COMPONENTS),
        outcomes=pa.Table.from_pylist(
            [
                {
                    "outcome": "resolved",
                    "end_reason": "completed",
                    "sessions": 4,
                    "mean_duration_s": 75.0,
                    "mean_turns": 2.5,
                }
            ]
        ),
        wait_ends=pa.Table.from_pylist(WAITS),
        errors=pa.Table.from_pylist([{"component": "llm", "provider": "local", "error_type": "timeout", "errors": 1}]),
    )
    return report.compute(tables, scope or Scope("data", NOON))


def test_kpis_as_text() -> None:
    """A KPI prints its value with its unit, what it is a share of, what was left out, and why it is missing."""
    assert as_text(report.grids(computed())["kpis"]) == (
        "KPIs\n"
        "  KPI                  value    from  left out          note\n"
        "  sessions                 4\n"
        "  turns                   10\n"
        "  response_gap_p95_s  2.50 s   n = 9  1 (no answer)\n"
        "  wait_km_p95_s       2.75 s  n = 10\n"
        "  wait_km_p99_s            -  n = 10                    "
        "not reached: the longest waits were abandoned\n"
        "  wer                 12.5 %  5 / 40  2 (no reference)\n"
        "  csat_share               -   0 / 0  4 (no answer)     no survey answers\n"
        "  csat_mean             4.50   9 / 2  2 (no answer)"
    )


def test_waits_as_text() -> None:
    """Answered and abandoned waits stand apart, and below them what the estimate of both together assumes."""
    assert as_text(report.grids(computed())["waits"]) == (
        "Waits\n"
        "  outcome    reason   n  without length     p50     p95     p99  longest\n"
        "  answered   -        9               0  1.00 s  2.50 s  2.50 s   2.50 s\n"
        "  abandoned  hung_up  1               0  2.75 s  2.75 s  2.75 s   2.75 s\n"
        "  1 of 10 waits are censored: abandoned before an answer (1 hung_up).\n"
        f"  {censored.ASSUMPTION}"
    )


def test_document() -> None:
    """The JSON document has the published keys; a missing KPI is null and says why, never 0."""
    scope = Scope("data", NOON, NOON - timedelta(days=1), None, {"bot": "bank"}, (Unreadable("x.parquet", "empty"),))
    found = json.loads(json.dumps(report.document(computed(scope))))
    assert found["as_of"] == "2026-03-01T12:00:00.000000Z"
    assert found["window"] == {"since": "2026-02-28T12:00:00.000000Z", "until": None}
    assert found["unreadable"] == [{"path": "x.parquet", "reason": "empty"}]
    assert found["kpis"]["wer"] == {
        "value": 0.125,
        "unit": "1",
        "numerator": 5.0,
        "denominator": 40.0,
        "excluded": 2,
        "exclusion": "no reference",
        "note": None,
    }
    assert found["kpis"]["csat_share"]["value"] is None
    assert found["kpis"]["csat_share"]["note"] == "no survey answers"
    assert set(found["sections"]) == {"waits", "components", "outcomes", "errors"}
    assert found["sections"]["waits"][1]["timed"] == 1
    assert found["notes"]["waits"][0] == "1 of 10 waits are censored: abandoned before an answer (1 hung_up)."
    assert found["kpis"]["wait_km_p99_s"]["value"] is None
    assert found["sections"]["components"][0]["first_chunk_p50_s"] is None


def test_head() -> None:
    """The head says what was counted, the window, the filters, and each file that was left out."""
    scope = Scope("data", NOON, NOON - timedelta(days=1), None, {"bot": "bank"}, (Unreadable("x.parquet", "empty"),))
    assert report.head(computed(scope)) == [
        "4 sessions, 10 turns, since 2026-02-28T12:00:00.000Z",
        "data data, as of 2026-03-01T12:00:00.000Z",
        "only bot bank",
        "left out, can't be read: x.parquet (empty)",
    ]


def test_machine_formats_hold_values() -> None:
    """CSV, JSON lines and Arrow hold the values themselves, under the same keys, and null where a value is missing."""
    grid = report.grids(computed())["kpis"]
    keys = ["kpi", "value", "unit", "numerator", "denominator", "excluded", "provisional", "exclusion", "note"]
    rows = list(csv.DictReader(io.StringIO(as_csv(grid))))
    assert list(rows[0]) == keys
    assert [row["value"] for row in rows] == ["4", "10", "2.5", "2.75", "", "0.125", "", "4.5"]
    lines = [json.loads(line) for line in as_jsonl(grid).splitlines()]
    assert list(lines[0]) == keys
    assert lines[6]["value"] is None
    assert as_arrow(grid).column("value").to_pylist() == [4.0, 10.0, 2.5, 2.75, None, 0.125, None, 4.5]


def test_markdown_and_html_escape() -> None:
    """A model's name can't break out of a Markdown or an HTML table."""
    grid = report.grids(computed())["components"]
    assert "a\\|b" in as_markdown(grid)
    rows = ({**grid.rows[0], "model": "<script>"},)
    assert "<script>" not in as_html(type(grid)(grid.name, grid.title, grid.columns, rows))


def test_empty_sections_say_so() -> None:
    """A section without rows says what there was none of."""
    empty = Tables(**dict.fromkeys(("all_kpis", "wait_ends", "components", "outcomes", "errors"), pa.table({})))
    grids = report.grids(report.compute(empty, Scope("data", NOON)))
    assert as_text(grids["errors"]) == "Errors\n  no operation failed"
    assert as_csv(grids["errors"]).splitlines() == ["component,provider,error_type,errors"]


def test_a_report_waits_for_no_module_that_only_others_need() -> None:
    """Pandas, which a first ``pa.array`` imports, charts, and what runs the live state cost a report a good while."""
    heavy = "{'pandas', 'plotly', 'matplotlib', 'scipy', 'jinja2', 'otel_voicebot.models.prepared'}"
    code = f"import sys; from otel_voicebot.reports import answer, report, source; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
