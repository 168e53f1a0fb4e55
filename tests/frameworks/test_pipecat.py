"""A real Pipecat bot that knows nothing of us, with Pipecat's setup file as door."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.app.served import Served, until
from tests.frameworks.calls import INSTRUMENT, TEXTS, Call, dumped, environment, hold, once, phrases, rows

pytest.importorskip("pipecat", reason="the extra frameworks is not installed: make frameworks")

from otel_voicebot.zerocode import pipecat_setup

SETUP = {"PIPECAT_SETUP_FILES": str(pipecat_setup.__file__), "OTEL_VOICEBOT_METRICS_ADDR": "none"}
OWN = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """A bot that exports over OTLP already and has OpenAI's client instrumented; its exporter feeds a service."""

    def make(data: Path) -> Call:
        with Served(data / "service") as service:
            exporter = {
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{service.where['grpc']}",
            }
            settings = {**SETUP, **OWN, **exporter, "OTEL_VOICEBOT_DATA": str(data / "bot")}
            call = hold("pipecat_bot", "call", settings, INSTRUMENT)
            until(lambda: service.total("voicebot_sessions_total") == 1)
            call.metrics = service.metrics()
            service.stop()
        for place in ("bot", "service"):
            for table in ("spans", "turns", "sessions"):
                call.tables[f"{place} {table}"] = rows(data / place, table)
        return call

    return once(tmp_path_factory, "pipecat-beside", make)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """A bot without any OpenTelemetry, run as ever; content capture is on."""

    def make(data: Path) -> Call:
        settings = {**SETUP, "OTEL_VOICEBOT_DATA": str(data / "bot"), "OTEL_VOICEBOT_CAPTURE_CONTENT": "true"}
        call = hold("pipecat_bot", "call", settings)
        call.tables = {f"bot {table}": rows(data / "bot", table) for table in ("spans", "turns", "sessions")}
        return call

    return once(tmp_path_factory, "pipecat-alone", make)


def test_tracing_is_switched_on_and_recognised(alone: Call) -> None:
    """A bot that never heard of tracing emits Pipecat's spans, with metrics; each is read as Pipecat's."""
    spans = alone.tables["bot spans"]
    assert {span["dialect"] for span in spans} == {"pipecat"}
    names = Counter(span["name"] for span in spans)
    assert (names["conversation"], names["stt"], names["llm"]) == (1, 6, alone.completions + alone.failures)
    answered = [span for span in spans if span["name"] == "llm" and span["status"] != "error"]
    assert all(span["time_to_first_chunk_s"] > 0 and span["input_tokens"] == 100 for span in answered)


def test_the_exporter_that_was_there_gets_the_same_spans(beside: Call) -> None:
    """What the bot's own exporter sends is what we keep, span by span."""
    ids = {
        place: {(span["trace_id"], span["span_id"]) for span in beside.tables[f"{place} spans"]}
        for place in ("bot", "service")
    }
    assert ids["bot"] == ids["service"]
    assert {span["dialect"] for span in beside.tables["bot spans"]} == {"pipecat", "genai"}


def test_what_was_said_is_nowhere_unless_it_is_wanted(beside: Call, alone: Call) -> None:
    """With capture off no three words in a row are stored, served or logged by us; with it on the texts are there."""
    wanted = {phrase for text in TEXTS for phrase in phrases(text)}
    assert len(wanted) > 10
    off = dumped([row for found in beside.tables.values() for row in found]) + str(list(beside.metrics))
    ours = [line for line in beside.log.splitlines() if "call " in line]
    assert [phrase for phrase in wanted if phrase in off + "\n".join(ours)] == []
    said = {span["user_text"] for span in alone.tables["bot spans"] if span["name"] == "stt"}
    assert said == set(TEXTS[1:])


def test_a_finished_call_is_one_line_among_pipecats(beside: Call) -> None:
    """A bot that set up no logging sees our line in Pipecat's log."""
    assert len([line for line in beside.log.splitlines() if line.startswith("INFO call ")]) == 1


def test_the_file_names_itself() -> None:
    """The command of the how-to page prints the path for PIPECAT_SETUP_FILES, and nothing else."""
    command = [sys.executable, "-m", "otel_voicebot.zerocode.pipecat_setup"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    assert Path(done.stdout.removesuffix("\n")).samefile(pipecat_setup.__file__)
    assert done.stderr == ""


def test_a_version_that_differs_is_told_what_to_write(caplog: pytest.LogCaptureFixture) -> None:
    """Where a worker lacks what `enable_tracing` would set, the log says the arguments, and the call goes on."""

    class Other:
        turn_trace_observer = None
        turn_tracking_observer = None

    pipecat_setup._trace(Other())
    assert "enable_tracing=True" in caplog.text
    assert vars(Other()) == {}
