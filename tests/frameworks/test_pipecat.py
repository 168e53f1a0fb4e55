"""A real Pipecat bot that knows nothing of us, with Pipecat's setup file as door."""

import json
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.frameworks.provider import TOKENS
from tests.app.served import Served, until
from tests.frameworks.calls import INSTRUMENT, TEXTS, Call, dumped, environment, hold, kpis, metric, once, rows
from tests.test_content import trigrams

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
        call.service_log = service.log
        for place in ("bot", "service"):
            for table in ("spans", "turns", "sessions"):
                call.tables[f"{place} {table}"] = rows(data / place, table)
        call.kpis = kpis(data / "bot")
        return call

    return once(tmp_path_factory, "pipecat-beside", make)


def _captured(factory: pytest.TempPathFactory, name: str, *options: str) -> Call:
    """A bot without any OpenTelemetry, run as ever; content capture is on."""

    def make(data: Path) -> Call:
        settings = {**SETUP, "OTEL_VOICEBOT_DATA": str(data / "bot"), "OTEL_VOICEBOT_CAPTURE_CONTENT": "true"}
        call = hold("pipecat_bot", "call", settings, options=options)
        call.tables = {f"bot {table}": rows(data / "bot", table) for table in ("spans", "turns", "sessions")}
        return call

    return once(factory, name, make)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """The call of such a bot."""
    return _captured(tmp_path_factory, "pipecat-alone")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """The same, where the bot has metrics of its own."""
    return _captured(tmp_path_factory, "pipecat-measured", "--metrics")


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
    assert {"eighteen degrees and", "every evening the"} <= beside.conversation
    off = dumped([row for found in beside.tables.values() for row in found]) + str(list(beside.metrics))
    ours = [line for line in beside.log.splitlines() if line.startswith("INFO call ")]
    assert beside.conversation & trigrams("\n".join((off, *ours, beside.service_log))) == set()
    said = {span["user_text"] for span in alone.tables["bot spans"] if span["name"] == "stt"}
    assert said == set(TEXTS[1:])
    turns = sorted(alone.tables["bot turns"], key=lambda turn: turn["turn_index"])
    assert [turn["user_text"] for turn in turns] == [None, *TEXTS[1:]]
    assert turns[0]["bot_text"] == TEXTS[0]
    assert "eighteen degrees" in turns[2]["bot_text"]


def test_a_finished_call_is_one_line_among_pipecats(beside: Call) -> None:
    """A bot that set up no logging sees our line in Pipecat's log."""
    assert len([line for line in beside.log.splitlines() if line.startswith("INFO call ")]) == 1


def test_the_file_names_itself() -> None:
    """The command of the how-to page prints the path for PIPECAT_SETUP_FILES, and nothing else."""
    command = [sys.executable, "-m", "otel_voicebot.zerocode.pipecat_setup"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    assert Path(done.stdout.removesuffix("\n")).samefile(pipecat_setup.__file__)
    assert done.stderr == ""


def test_metrics_that_the_bot_has_not_switched_on_are_in_spans_alone(alone: Call, measured: Call) -> None:
    """Spans tell what they tell of a bot that has switched them on, and no frame with metrics comes through."""

    def told(call: Call) -> set[tuple[str, str]]:
        spans = call.tables["bot spans"]
        return {(span["name"], column) for span in spans for column, value in span.items() if value not in (None, [])}

    assert told(alone) == told(measured)
    assert {("stt", "transcription_delay_s"), ("tts", "time_to_first_chunk_s"), ("llm", "input_tokens")} <= told(alone)
    assert json.loads(alone.said)["metrics_frames"] == 0
    assert json.loads(measured.said)["metrics_frames"] > 0


@pytest.mark.parametrize("where", ["alone bot", "beside bot", "beside service"])
def test_the_turns_are_those_of_the_call(where: str, request: pytest.FixtureRequest) -> None:
    """A greeting, then an exchange for each thing the caller said, whichever door the spans came through."""
    fixture, place = where.split()
    turns = sorted(request.getfixturevalue(fixture).tables[f"{place} turns"], key=lambda turn: turn["turn_index"])
    assert [turn["turn_index"] for turn in turns] == [1, 2, 3, 4, 5, 6, 7]
    assert [turn["kind"] for turn in turns] == ["greeting"] + 6 * ["exchange"]
    assert [turn["outcome"] for turn in turns] == [None, *4 * ["answered"], "abandoned", "answered"]
    assert turns[5]["abandon_reason"] == "error"
    assert [bool(turn["interrupted"]) for turn in turns] == [number == 3 for number in range(7)]
    assert [turn["tool_calls"] for turn in turns] == [0, 0, 1, 0, 0, 0, 0]


def test_gaps_are_what_the_caller_measured(alone: Call) -> None:
    """The caller's own clock saw the same waits, to 0.3 s: it takes the end of sound, Pipecat that of speech."""
    gaps = [turn["response_gap_s"] for turn in alone.tables["bot turns"] if turn["outcome"] == "answered"]
    waits = json.loads(alone.said)["gaps"]
    assert len(gaps) == len(waits) == 5
    assert all(abs(gap - wait) < 0.3 for gap, wait in zip(gaps, waits, strict=True))


def test_tokens_and_errors_are_counted_once(beside: Call) -> None:
    """OpenAI's client emits spans inside Pipecat's: what the provider gave is what turns and metrics count."""
    given = [tokens * beside.completions for tokens in TOKENS]
    for place in ("bot", "service"):
        turns = beside.tables[f"{place} turns"]
        assert [sum(turn[f"{way}_tokens"] or 0 for turn in turns) for way in ("input", "output")] == given
        assert sum(turn["errors"] for turn in turns) == beside.failures == 1
    assert [metric(beside, "voicebot_tokens_total", direction=way) for way in ("input", "output")] == given
    assert metric(beside, "voicebot_errors_total") == 1


def test_sessions_and_metrics_say_the_same(beside: Call) -> None:
    """One session, complete, with its six exchanges; the service's counters hold what its rows hold."""
    sessions = [beside.tables[f"{place} sessions"][0] for place in ("bot", "service")]
    assert [(one["turns"], one["answered"], one["errors"], one["complete"]) for one in sessions] == 2 * [
        (6, 5, 1, True)
    ]
    assert metric(beside, "voicebot_turns_total", outcome="answered") == 5
    assert metric(beside, "voicebot_turns_total", outcome="abandoned") == 1
    assert metric(beside, "voicebot_turn_response_gap_seconds_count") == 5
    assert metric(beside, "voicebot_interruptions_total") == 1


def test_the_report_says_the_same_from_the_spans(beside: Call) -> None:
    """KPIs, computed again from what is stored: those of the rows that were computed while the call went on."""
    gaps = [turn["response_gap_s"] for turn in beside.tables["bot turns"] if turn["response_gap_s"] is not None]
    assert beside.kpis["response_gap_p50_s"]["value"] == pytest.approx(statistics.median(gaps), abs=1e-9)
    shares = {
        name: (beside.kpis[name]["numerator"], beside.kpis[name]["denominator"])
        for name in ("turns", "abandoned_wait_rate", "interruption_rate", "error_rate", "containment")
    }
    assert shares == {
        "turns": (6, None),
        "abandoned_wait_rate": (1, 6),
        "interruption_rate": (1, 5),  # of a greeting and five answers, without the last: Pipecat doesn't tell
        "error_rate": (1, 19),  # 6 recognitions, 7 model calls, 6 syntheses
        "containment": (1, 1),
    }
    assert beside.kpis["input_tokens"]["value"] == TOKENS[0] * beside.completions


def test_the_line_says_what_the_rows_say(alone: Call) -> None:
    """Turns, gaps, interruptions, errors."""
    gaps = [turn["response_gap_s"] for turn in alone.tables["bot turns"] if turn["response_gap_s"] is not None]
    line = next(line for line in alone.log.splitlines() if line.startswith("INFO call "))
    assert f": 6 turns, gap p50 {statistics.median(gaps):.2f} s, worst {max(gaps):.2f} s" in line
    assert line.endswith("1 interrupted, 1 error, outcome unknown")
