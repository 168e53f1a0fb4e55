"""`threshold-alert` and `monitor-session --live` on a running service, in a real terminal (FEATURES A10, A12, A16)."""

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.program import PROGRAM
from otel_voicebot import semconv as s
from otel_voicebot.cli.live import Service, source_of
from otel_voicebot.cli.options import Question
from otel_voicebot.conventions import prometheus_name
from tests.app.served import Served, until
from tests.cli.conftest import Run
from tests.cli.injected import calls
from tests.cli.terminal import Terminal

CTRL_C = b"\x03"
TURNS = f"{prometheus_name(s.TURNS)}_total"
SESSIONS = f"{prometheus_name(s.SESSIONS)}_total"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A service that shows what came in soon."""
    with Served(tmp_path / "data", env={"OTEL_VOICEBOT_TICK_INTERVAL": "0.2"}) as running:
        yield running


def send(served: Served, n: int, gap_s: float, **rest: Any) -> None:
    """Calls with this response gap, until their turns are counted."""
    before = served.total(TURNS)
    served.export(list(calls(n, gap_s, **rest)))
    until(lambda: served.total(TURNS) >= before + n)


def alert(served: Served, metric: str, threshold: str, *more: str) -> Terminal:
    """A watch, on a terminal, that looks every half second."""
    words = ("--metric", metric, "--threshold", threshold, "--interval", "0.5", "--url", served.where["metrics"])
    return Terminal("threshold-alert", *words, *more)


def test_injected_latency_crosses_the_threshold(served: Served) -> None:
    """Nothing is said of too few turns; quick ones leave the alert quiet, slow ones cross it, and it ends with 1."""
    with alert(served, "latency", "1500") as terminal:
        terminal.until(lambda text: re.search(r"too few  latency p95 unknown: no answered turn  \(n 0 of 20", text))
        send(served, 5, 0.7)
        terminal.until(lambda text: re.search(r"too few  latency p95 \d+ ms, within 1.50 s  \(n 5 of 20 needed", text))
        send(served, 25, 0.7)
        quiet = terminal.until(lambda text: re.search(r"quiet    latency p95 \d+ ms, within 1.50 s  \(n 30,", text))
        assert "crossed" not in quiet
        send(served, 30, 4.0)
        terminal.until(lambda text: re.search(r"crossed  latency p95 4\.\d\d s, above 1.50 s  \(n 60,", text))
        terminal.press(CTRL_C)
        assert terminal.ended() == 1
    assert terminal.text.startswith("watching for 0.5 s first")
    assert f"service http://{served.where['metrics']}/metrics, as of " in terminal.text


def test_a_watch_that_never_crossed_ends_with_0(served: Served) -> None:
    """Ctrl-C ends it."""
    with alert(served, "latency", "5s", "--min-count", "3") as terminal:
        terminal.until(lambda text: "too few" in text)
        send(served, 5, 0.7)
        terminal.until(lambda text: "quiet" in text)
        terminal.press(CTRL_C)
        assert terminal.ended() == 0


def test_words_misheard_in_noise_cross_the_threshold(served: Served, recorded: dict[str, tuple[int, int]]) -> None:
    """Real recognition of recorded callers: clean audio leaves the alert on WER quiet, white noise crosses it."""
    with alert(served, "wer", "20%") as terminal:
        terminal.until(lambda text: "too few" in text)
        send(served, 1, 0.7, words=recorded["clean"])
        terminal.until(lambda text: re.search(r"quiet    wer \d+\.\d %, within 20.0 %", text))
        send(served, 1, 0.7, words=recorded["noisy"])
        terminal.until(lambda text: re.search(r"crossed  wer [2-9]\d\.\d %, above 20.0 %", text))
        terminal.press(CTRL_C)
        assert terminal.ended() == 1


@pytest.fixture
def recorded() -> dict[str, tuple[int, int]]:
    """(wrong words, words) of some recorded callers, heard by the demo's recogniser without and with noise."""
    pytest.importorskip("pocketsphinx", reason="the demo's recogniser is not installed: pip install '.[demo]'")
    from otel_voicebot.demo.recogniser import Recogniser
    from otel_voicebot.demo.recordings import load
    from otel_voicebot.demo.wer import score
    from tests.demo.test_recognition import SOME, noisy

    found = load()
    with Recogniser(1) as recogniser:
        scores = {
            kind: [score(found[name].text, recogniser.recognise(pcm(found[name]).tobytes()).text) for name in SOME]
            for kind, pcm in (("clean", lambda one: one.pcm), ("noisy", lambda one: noisy(one, 10.0)))
        }
    return {kind: (sum(one.errors for one in all_), sum(one.words for one in all_)) for kind, all_ in scores.items()}


def shown(text: str, kpi: str) -> list[str]:
    """The values of a KPI in the order in which they were drawn."""
    return re.findall(rf"{kpi} +(\S+(?: ms| s| %)?)", text)


def test_the_live_screen_changes(served: Served) -> None:
    """Figures refresh themselves in place while calls come in and get slower; Ctrl-C ends with 0."""
    with Terminal(
        "monitor-session", "--stats", "--live", "--interval", "0.5", "--url", served.where["metrics"], columns=80
    ) as terminal:
        terminal.until(lambda text: shown(text, "turns")[-1:] == ["0"])
        assert shown(terminal.text, "wer")[-1] == "-"
        send(served, 20, 0.7, words=(1, 10))
        terminal.until(lambda text: shown(text, "turns")[-1] == "20" and shown(text, "wer")[-1] == "10.0 %")
        quick = shown(terminal.text, "response_gap_p95_s")[-1]
        send(served, 20, 4.0, words=(5, 10))
        terminal.until(lambda text: shown(text, "turns")[-1] == "40" and shown(text, "wer")[-1] == "30.0 %")
        slow = shown(terminal.text, "response_gap_p95_s")[-1]
        terminal.press(CTRL_C)
        assert terminal.ended() == 0
    assert quick.endswith(" ms")
    assert slow.startswith("4.")
    assert "\x1b[1A" in terminal.raw  # drawn over what was there, not below it


def test_the_live_screen_of_a_directory_changes(tmp_path: Path, served: Served) -> None:
    """The same from the Parquet files, without asking the service; a call under way is an active session."""
    under_way = [one for one in calls(1, 0.7) if one.name != s.SPAN_SESSION]
    send(served, 3, 0.7)
    served.export(under_way)
    with Terminal("monitor-session", "--live", "--interval", "0.5", "--data", str(tmp_path / "data")) as terminal:
        terminal.until(lambda text: shown(text, "sessions")[-1:] == ["4"])
        assert shown(terminal.text, "active_sessions")[-1] == "1"
        send(served, 4, 0.7)
        terminal.until(lambda text: shown(text, "sessions")[-1] == "8")
        terminal.press(CTRL_C)
        assert terminal.ended() == 0


def test_a_pipe_gets_a_line_of_json_at_each_look(served: Served, run: Run) -> None:
    """Or a block of text; `--count` ends it with 0."""
    send(served, 3, 0.7)
    url = ("--url", f"http://{served.where['metrics']}")
    done = run("monitor-session", "--live", "--interval", "0.2", "--count", "3", "--json", *url)
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["kpis"]["turns"]["value"] for line in done.stdout.splitlines()] == [3, 3, 3]
    done = run("monitor-session", "--live", "--interval", "0.2", "--count", "2", *url)
    assert done.stdout.count("\nSessions\n") == 2
    assert "\x1b" not in done.stdout
    done = run(
        *("threshold-alert", "--metric", "error_rate", "--threshold", "0.1", "--min-count", "1"),
        *("--interval", "0.2", "--count", "2", "--json", *url),
    )
    assert done.returncode == 3  # no operation while it looked
    assert [json.loads(line)["state"] for line in done.stdout.splitlines()] == ["too_few", "too_few"]


def test_the_lines_of_the_page_that_ask_a_service_work_as_pasted(served: Served, run: Run) -> None:
    """With the address of this one, and stopped after a look that comes soon."""
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    lines = [line.removeprefix("$ ") for line in page.splitlines() if line.startswith("$ ") and "--url" in line]
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line.replace("127.0.0.1:8000", served.where["metrics"]).replace("=60", "=0.2"))
        done = run(*words, "--count", "1")
        assert done.returncode == (3 if words[0] == "threshold-alert" else 0), done.stderr
        assert f"service http://{served.where['metrics']}/metrics, as of " in done.stdout


def test_a_service_that_goes_away_is_told_and_waited_for(served: Served, tmp_path: Path) -> None:
    """The first look must succeed; later a service that is gone is a remark, and the watch goes on."""
    words = ["monitor-session", "--live", "--interval", "0.3", "--json", "--url", served.where["metrics"]]
    watch = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert watch.stdout is not None
        assert watch.stderr is not None
        assert json.loads(watch.stdout.readline())["kpis"]["turns"]["value"] == 0
        served.stop()
        assert "doesn't answer" in watch.stderr.readline()
        with Served(tmp_path / "data", "--metrics", served.where["metrics"]):
            back = datetime.now(UTC)
            while datetime.fromisoformat(json.loads(watch.stdout.readline())["as_of"]) < back:
                pass
        watch.send_signal(signal.SIGINT)
        assert watch.wait(60) == 0
    finally:
        watch.kill()
        watch.communicate()


def test_numbers_are_those_of_the_report(served: Served, tmp_path: Path, run: Run) -> None:
    """Of the same ended calls service and report say the same; percentiles as near as the buckets are."""
    send(served, 15, 0.72, words=(1, 10))
    send(served, 5, 2.1, words=(2, 10), bot="shop", channel="web")
    until(lambda: served.total(SESSIONS) == 20)
    asked = ("--url", served.where["metrics"])
    for only in ((), ("--bot", "shop")):
        live = json.loads(run("monitor-session", "--json", *asked, *only).stdout)["kpis"]
        live |= json.loads(run("orchestrator-log", "--json", *asked, *only).stdout)["kpis"]
        exact = json.loads(run("report", "--json", "--data", str(tmp_path / "data"), *only).stdout)["kpis"]
        for name in ("sessions", "turns", "wer", "cache_hit_rate", "error_rate", "aht_s"):
            assert live[name]["value"] == pytest.approx(exact[name]["value"], rel=1e-12), name
        for name in ("response_gap_p50_s", "response_gap_p95_s"):
            assert live[name]["value"] == pytest.approx(exact[name]["value"], abs=0.2), name
        words = ("--metric", "containment", "--threshold", "1%", "--min-count", "1", "--json")
        seen = json.loads(run("threshold-alert", *words, *asked, *only).stdout)
        assert (seen["value"], seen["observations"]) == tuple(exact["containment"][k] for k in ("value", "denominator"))
    assert live["fcr_7d"] == {
        **dict.fromkeys(("value", "numerator", "denominator", "excluded", "exclusion")),
        "unit": "1",
        "note": "a service's counters don't tell it; the data does (--data)",
    }


def test_what_a_service_does_not_split_by_is_said(served: Served, run: Run) -> None:
    """WER isn't counted by channel: it is missing, not the number of all channels; turns are."""
    send(served, 2, 0.7, channel="web")
    send(served, 3, 0.7)
    found = json.loads(run("monitor-session", "--json", "--url", served.where["metrics"], "--channel", "web").stdout)[
        "kpis"
    ]
    assert found["turns"]["value"] == 2
    assert found["wer"]["value"] is None
    assert (
        found["wer"]["note"]
        == "the service doesn't count voicebot.wer.errors by channel; the data directory knows (--data)"
    )
    done = run("monitor-session", "--url", served.where["metrics"], "--intent", "loan", "--json")
    assert json.loads(done.stdout)["kpis"]["turns"]["value"] is None


def test_a_step_may_be_longer_than_the_window(served: Served) -> None:
    """A12: a service that didn't answer for long is looked at again, over all the time since; the watch goes on."""
    source = source_of(Question(), served.where["metrics"], 0.01, 1.0)
    assert isinstance(source, Service)
    assert source.begin()
    began, samples = source._last or (0.0, None)
    assert samples is not None
    send(served, 3, 0.7)
    source._last = (began - 3600.0, samples)
    seen = source.look()
    assert seen.kpi("turns").value == 3
    assert 3600.0 <= (seen.lasted_s or 0.0) < 3700.0
    source.look()
    assert len(source._steps) == 1
