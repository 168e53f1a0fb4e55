"""A real LiveKit agent that knows nothing of us: its job process sends to one local service."""

from collections import Counter
from pathlib import Path

import pytest

from tests.app.served import Served, until
from tests.frameworks.calls import INSTRUMENT, TEXTS, Call, dumped, hold, once, phrases, rows

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
        call.tables = {table: rows(data, table) for table in ("spans", "sessions")}
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
    """No three words in a row of caller or bot are stored or served."""
    wanted = {phrase for text in (*TEXTS, "transfer me to billing") for phrase in phrases(text)}
    kept = dumped([row for found in sent.tables.values() for row in found]) + str(list(sent.metrics))
    assert [phrase for phrase in wanted if phrase in kept] == []
