"""A real LiveKit agent that knows nothing of us: its job process sends to one local service."""

from collections import Counter
from pathlib import Path

import pytest

from bench.frameworks.provider import TOKENS
from bench.frameworks.script import SCRIPTS
from tests.app.served import Served, until
from tests.frameworks.calls import INSTRUMENT, Call, dumped, hold, kpis, metric, once, rows
from tests.test_content import trigrams

pytest.importorskip("livekit.agents", reason="the extra frameworks is not installed: make frameworks")

QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """An agent under `opentelemetry-instrument`, so that OpenAI's client is instrumented, too."""

    def make(data: Path) -> Call:
        with Served(data) as service:
            settings = {**QUIET, "OTEL_VOICEBOT_SEND_TO": f"http://{service.where['http']}"}
            call = hold("livekit_bot", "agents", settings, INSTRUMENT)
            until(lambda: service.total("voicebot_sessions_total") == 1)
            call.metrics = service.metrics()
            service.stop()
        call.service_log = service.log
        call.kpis = kpis(data)
        call.tables = {table: rows(data, table) for table in ("spans", "turns", "sessions")}
        return call

    return once(tmp_path_factory, "livekit-sent", make)


def test_all_spans_of_the_job_process_arrive(sent: Call) -> None:
    """Up to the last, which ends with the job: such a process ends without Python's atexit."""
    spans = sent.tables["spans"]
    assert {span["dialect"] for span in spans} == {"livekit", "genai"}
    names = Counter(span["name"] for span in spans)
    assert (names["agent_session"], names["job_entrypoint"], names["function_tool"]) == (1, 1, 2)
    assert names["llm_request_run"] == names["chat gpt-4.1-mini"] == sent.completions + sent.failures
    assert sent.failures == 2


def test_what_was_said_is_nowhere(sent: Call) -> None:
    """No three words in a row of caller, bot, prompts or tools are stored, served or logged.

    LiveKit logs at INFO here, and no text: all that the job process wrote is looked at, our lines among it.
    """
    assert {"transfer me to", "eighteen degrees and", "are the front", "every evening the"} <= sent.conversation
    kept = dumped([row for found in sent.tables.values() for row in found]) + str(list(sent.metrics))
    assert sent.conversation & trigrams(kept) == set()
    assert "INFO call " in sent.service_log
    assert sent.conversation & trigrams("\n".join((sent.log, sent.said, sent.service_log))) == set()


def test_the_turns_are_those_of_the_call(sent: Call) -> None:
    """An exchange for each thing the caller said, greetings of both agents, the one that fails, the handoff."""
    turns = sorted(sent.tables["turns"], key=lambda turn: turn["turn_index"])
    assert [turn["turn_index"] for turn in turns] == list(range(1, len(turns) + 1))
    said = [turn for turn in turns if turn["kind"] == "exchange"]
    assert turns[0]["kind"] == "greeting"
    assert len(said) == len(SCRIPTS["agents"])
    assert [turn["outcome"] for turn in said[:5]] == [*4 * ["answered"], "abandoned"]
    assert said[4]["abandon_reason"] == "error"
    assert [turn["interrupted"] for turn in said[:4]] == [False, False, True, False]
    assert [turn["tool_calls"] for turn in said[:6]] == [0, 1, 0, 0, 0, 1]
    assert [bool(turn["handoff"]) for turn in said[:6]] == [False] * 5 + [True]


def test_tokens_and_errors_are_counted_once(sent: Call) -> None:
    """Request, attempt and OpenAI's own client span tell of one and the same: what the provider gave is counted."""
    given = [tokens * sent.completions for tokens in TOKENS]
    assert [sum(turn[f"{way}_tokens"] or 0 for turn in sent.tables["turns"]) for way in ("input", "output")] == given
    assert [metric(sent, "voicebot_tokens_total", direction=way) for way in ("input", "output")] == given
    assert sum(turn["errors"] for turn in sent.tables["turns"]) == metric(sent, "voicebot_errors_total") == 1


def test_sessions_and_metrics_say_the_same(sent: Call) -> None:
    """One complete session; the service's counters hold what its rows hold."""
    (session,) = sent.tables["sessions"]
    turns = sent.tables["turns"]
    answered = sum(turn["outcome"] == "answered" for turn in turns)
    assert (session["turns"], session["answered"], session["complete"]) == (len(SCRIPTS["agents"]), answered, True)
    assert metric(sent, "voicebot_turns_total", outcome="answered") == answered
    assert metric(sent, "voicebot_turns_total", outcome="abandoned") == session["turns"] - answered
    assert [sent.kpis[name]["value"] for name in ("turns", "input_tokens")] == [
        session["turns"],
        TOKENS[0] * sent.completions,
    ]
    gaps = [turn["response_gap_s"] for turn in turns if turn["response_gap_s"] is not None]
    assert metric(sent, "voicebot_turn_response_gap_seconds_count") == len(gaps)
