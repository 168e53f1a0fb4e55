"""A call that is over is one line in the log."""

import logging
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from otel_voicebot.app import call_log
from otel_voicebot.app.call_log import CallLog
from tests.app.bots import run
from tests.app.served import Served
from tests.live.test_bounds import call as spans_of_call

_BOT = """
    import logging
    logging.basicConfig(level=logging.LEVEL, format="%(levelname)s %(name)s %(message)s")
    vb.configure(create_provider=True)
    call()
"""
_LINE = re.compile(
    r"call call-1 with bank of \d+\.\d s: 1 turn, gap p50 (1\.0\d) s, worst \1 s, "
    r"0 interrupted, 0 errors, outcome resolved"
)


def _turns(*turns: tuple[str, int, float | None, bool]) -> pa.Table:
    names = ("session_id", "turn_index", "response_gap_s", "interrupted")
    return pa.Table.from_pylist([dict(zip(names, turn, strict=True)) for turn in turns])


def _session(name: str, **facts: Any) -> pa.Table:
    row = {"bot": "b", "turns": 3, "outcome": "unknown", "duration_s": 60.0, "errors": 1, "complete": True}
    return pa.Table.from_pylist([{"session_id": name, **row, **facts}])


def test_the_line_of_an_embedded_call(tmp_path: Path) -> None:
    """The logger otel_voicebot says at level INFO what became of it; at the usual level it says nothing."""
    settings = {"OTEL_VOICEBOT_DATA": str(tmp_path), "OTEL_VOICEBOT_METRICS_ADDR": "none"}
    _, lines = run(_BOT.replace("LEVEL", "INFO"), **settings)
    assert [bool(_LINE.search(line)) for line in lines] == [True]
    assert lines[0].startswith("INFO otel_voicebot call ")
    assert run(_BOT.replace("LEVEL", "WARNING"), **settings)[1] == []


def test_the_line_of_a_call_that_was_sent(tmp_path: Path) -> None:
    """The service says the same on its standard error, once a call."""
    with Served(tmp_path, env={"OTEL_VOICEBOT_SESSION_IDLE_TIMEOUT": "0.5"}) as service:
        service.export(spans_of_call("far", 7))
        assert service.process.stderr is not None
        for line in service.process.stderr:
            if " call far" in line:
                break
        assert re.search(r" INFO call far .*: \d turns?, .*interrupted, .*outcome ", line)


def test_gaps_interruptions_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    """A turn that was computed again counts as it is now; a gap that is missing is no zero."""
    caplog.set_level(logging.INFO, "otel_voicebot")
    log = CallLog()
    log.add("turns", _turns(("a", 1, 9.0, True), ("a", 2, 2.0, True), ("b", 1, None, False)))
    log.add("turns", _turns(("a", 1, 1.0, False), ("a", 3, None, False)))
    log.add("sessions", _session("a", outcome="x", duration_s=6.0))
    log.add("sessions", _session("b", turns=1, errors=0, bot=None, duration_s=None, complete=False))
    assert caplog.messages == [
        "call a with b of 6.0 s: 3 turns, gap p50 1.50 s, worst 2.00 s (2 measured), 1 interrupted, 1 error, outcome x",
        "call b: 1 turn, no gap measured, 0 interrupted, 0 errors, outcome unknown, its end was not seen",
    ]


def test_a_call_is_told_once_and_forgotten(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are written again give no second line; what is remembered is bounded."""
    caplog.set_level(logging.INFO, "otel_voicebot")
    monkeypatch.setattr(call_log, "_CALLS_KEPT", 2)
    log = CallLog()
    for name in ("a", "b", "c"):
        log.add("turns", _turns((name, 1, 1.0, False)))
    log.add("sessions", _session("a"))
    log.add("turns", _turns(("a", 1, 1.0, False)))
    log.add("sessions", _session("a"))
    assert [("no gap" in line, line.split()[1]) for line in caplog.messages] == [(True, "a")]
    log.add("sessions", _session("b"))
    log.add("sessions", _session("c"))
    assert (len(log._turns), len(log._told)) == (0, 2)


def test_a_name_writes_no_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """What a sender chose as id stays on one line and is cut."""
    caplog.set_level(logging.INFO, "otel_voicebot")
    CallLog().add("sessions", _session("a\nINFO call z" + "x" * 1000, bot="c\rd"))
    assert caplog.messages[0].startswith("call a?INFO call zxxx")
    assert " with c?d" in caplog.messages[0]
    assert len(caplog.messages[0]) < 300
