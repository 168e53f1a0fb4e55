"""`demo`: what it ends with, and what it shows while calls run."""

import json
import socket
from pathlib import Path

import pytest

from otel_voicebot.cli import demo
from otel_voicebot.cli.progress import Calls, Counter
from otel_voicebot.demo.results import CallEnded, CallResult, CallStarted, DemoResult, TurnDone, Utterance
from otel_voicebot.settings import Settings
from tests.cli.conftest import Run
from tests.reports.tables import NOON

SAID = Utterance("loan-1", "i want a loan", "i want a lone", 1, 4)
CALL = CallResult("loan", "call-2", "resolved", "loan", (SAID,), 12.0)
HELD = DemoResult((CALL,), 1.0, "flite", None, 31.0)


def test_end_for_people(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The demo ends with KPIs, the slowest turn and where its wait went, WER, data, a picture, and what to try next."""
    found = demo._look(Settings(data=data), NOON)
    demo._print(HELD, found)
    out = capfd.readouterr().out
    assert "1 call in 31 s, real time, no noise, the bot's voice is flite\n" in out
    assert "response_gap_p95_s" in out
    assert "turn 1 of session call-2\n" in out
    assert "word error rate  0.250 (1 of 4 words wrong)\n" in out
    assert f"Parquet data     {data / 'hot'}\n" in out
    assert f"picture          {data / 'pictures' / 'turn-latencies.png'}\n" in out
    assert f" trace call-2 --data {data} --html --output call.html\n" in out
    assert "Where the wait of 3.00 s went\n" in out
    assert [line.split()[1] for line in out.splitlines() if line.endswith("local/rules")] == ["llm_first_token"]
    assert (data / "pictures" / "turn-latencies.png").read_bytes().startswith(b"\x89PNG")


def test_end_for_machines(data: Path) -> None:
    """Its JSON document has the report, the slowest turn, the paths, and what was heard where texts may be kept."""
    look = demo._look(Settings(data=data), NOON)
    found = json.loads(json.dumps(demo._document(HELD, look, "http://x/metrics", texts=True)))
    assert found["wer"] == {"value": 0.25, "errors": 1, "words": 4}
    assert found["calls"][0]["utterances"][0]["hypothesis"] == "i want a lone"
    assert found["report"]["kpis"]["sessions"]["value"] == 2
    assert found["slowest_turn"]["session_id"] == "call-2"
    assert found["metrics_url"] == "http://x/metrics"
    assert "lone" not in json.dumps(demo._document(HELD, look, None, texts=False))


def test_plain_progress(capfd: pytest.CaptureFixture[str]) -> None:
    """Where stderr is no terminal, each step of a call is a line there; stdout stays empty."""
    with Calls(1, texts=False) as watcher:
        watcher(CallStarted(1, "loan"))
        watcher(TurnDone(1, "loan", SAID))
        watcher(CallEnded(1, CALL))
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "call  1  loan: ringing",
        "call  1  loan: heard 4 words",
        "call  1  loan: resolved after 12 s (1 of 1 calls)",
    ]


def test_plain_counter(capfd: pytest.CaptureFixture[str]) -> None:
    """An import says which file it reads, a line each."""
    with Counter("requests", 2) as counter:
        counter.begin("a")
        counter.step()
        counter.begin("b")
    assert capfd.readouterr().err == "reading a (1 of 2)\nreading b (2 of 2)\n"


@pytest.mark.slow
def test_whole_demo(program: Run, tmp_path: Path) -> None:
    """Real calls: JSON on stdout, notes on stderr, a taken port is said and nothing stops for it."""
    pytest.importorskip("pocketsphinx", reason="real calls need the extra [demo]")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = program("demo", "--calls", "2", "--fast", "--metrics-addr", address, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert f"no metrics at {address}" in done.stderr
    assert found["metrics_url"] is None
    assert [call["ending"] for call in found["calls"]]
    assert found["report"]["kpis"]["sessions"]["value"] == 2
    assert found["report"]["kpis"]["wer"]["denominator"] == found["wer"]["words"] > 0
    assert (tmp_path / found["picture"]).is_file()
    assert list((tmp_path / "voicebot-data" / "hot" / "spans").rglob("*.parquet"))
