"""The verbs that say where waits went: `slow`, `why`, `trace` and the report's section, on spans in a store."""

import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Run, commit
from tests.reports.captures import CAPTURES
from tests.reports.tables import nano, span

LIVEKIT = "b918dea641b05a51b5896c434798f6b2"
DAY_S = timedelta(days=1).total_seconds()
THIS, BEFORE = ("--since", "2026-03-02", "--until", "2026-03-03"), "2026-03-01..2026-03-02"


def spoken(number: int, start: float, voice: str, audio: float) -> list[dict[str, object]]:
    """A call of two turns as the native API writes it: endpointing 0.5 s, model 0.4 s to its token, then the voice."""
    trace = f"{number:032x}"
    own = {"session_id": f"call-{number}", "trace_id": trace, "dialect": "native"}
    ids = (f"{number:08x}{at:08x}" for at in range(1, 20))
    root = next(ids)
    rows = [span(root, "session", start, start + 40, **own, turn_index=None, name="voicebot.session")]
    for turn in (1, 2):
        begin = start + 15 * turn
        heard, decided = begin + 2, begin + 2.5
        worded, spoke = decided + 0.5, decided + 0.5 + audio
        parent = next(ids)
        inside = {**own, "turn_index": turn, "parent_span_id": parent}
        rows += [
            span(parent, "turn", begin, spoke + 3, **{**inside, "parent_span_id": root}, name="voicebot.turn",
                 user_speech_end_unix_nano=nano(heard), bot_speech_start_unix_nano=nano(spoke)),
            span(next(ids), "endpointing", heard, decided, **inside, outcome="committed"),
            span(next(ids), "llm", decided, worded + 1, **inside, provider="openai", model="gpt",
                 time_to_first_chunk_s=0.4),
            span(next(ids), "tts", worded, spoke + 1, **inside, provider=voice, model="flash",
                 time_to_first_chunk_s=audio),
        ]  # fmt: skip
    return rows


@pytest.fixture
def two_days(tmp_path: Path) -> Path:
    """40 calls a day. On the second day the voice of acme takes 1.1 s to its first audio instead of 0.3 s."""
    for number in range(80):
        second = number >= 40
        voice = "acme" if number % 2 else "zeta"
        audio = (1.1 if second and voice == "acme" else 0.3) + number % 7 / 1000
        commit(tmp_path, *spoken(number, 100.0 * (number % 40) + DAY_S * second, voice, audio))
    return tmp_path


def test_why(run: Run, two_days: Path) -> None:
    """Of two days of which one has a slower voice, `why` names that voice; the parts make up the change."""
    done = run("why", *THIS, "--data", str(two_days), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    first = found["lines"][0]
    assert (first["segment"], first["provider"], first["model"]) == ("tts_first_audio", "acme", "flash")
    assert first["change_s"] == pytest.approx(0.4, abs=1e-3)
    assert first["within_noise"] is False
    assert sum(line["change_s"] for line in found["lines"]) == pytest.approx(found["change"]["change_s"], abs=1e-9)
    assert found["change"]["change_s"] == pytest.approx(found["after"]["mean_s"] - found["before"]["mean_s"], abs=1e-12)
    assert (found["before"]["turns"], found["after"]["turns"]) == (80, 80)
    assert found["against"] == {"since": "2026-03-01T00:00:00.000000Z", "until": "2026-03-02T00:00:00.000000Z"}
    traced = run("trace", first["examples"][0], "--data", str(two_days), "--json")
    assert traced.returncode == 0
    segments = {one["segment"]: one for one in json.loads(traced.stdout)["turns"][0]["segments"]}
    assert segments["tts_first_audio"]["duration_s"] > 1


def test_why_for_people(run: Run, two_days: Path) -> None:
    """For people it says in a sentence what changed, and by whom."""
    done = run("why", *THIS, "--against", BEFORE, "--data", str(two_days))
    assert done.stdout.startswith("callers wait 400 ms longer on average, most of it in tts_first_audio by acme/flash")
    assert "Turns in which it took longest" in done.stdout


def test_abandoned_share_is_that_of_the_report(run: Run, livekit: Path) -> None:
    """`why` and `report` say the same of how many waits were given up."""
    kpi = json.loads(run("report", "--data", str(livekit), "--json").stdout)["kpis"]["abandoned_wait_rate"]
    assert kpi["numerator"] > 0
    commit(livekit, *spoken(1, -DAY_S, "acme", 0.3))
    words = ("--since", "2026-06-01", "--until", "2100-01-01", "--against", "2026-02-28..2026-03-01")
    found = json.loads(run("why", *words, "--data", str(livekit), "--json").stdout)
    told = found["after"]["abandoned"]
    assert (told["turns"], told["exchanges"], told["rate"]) == (kpi["numerator"], kpi["denominator"], kpi["value"])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "md", "html"])
def test_why_in_other_formats(run: Run, two_days: Path, kind: str) -> None:
    """Every format holds the split; csv every line of it."""
    done = run("why", *THIS, "--format", kind, "--data", str(two_days))
    assert "acme" in done.stdout
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert rows[-1]["segment"] == "response_gap"
        split = sum(float(row["change_s"]) for row in rows[:-1])
        assert split == pytest.approx(float(rows[-1]["change_s"]), abs=1e-9)


def test_why_without_data(run: Run, two_days: Path) -> None:
    """A period without an answered turn is no data, and the sentence names it."""
    done = run("why", "--since", "2026-03-01", "--until", "2026-03-02", "--data", str(two_days), "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["message"].startswith("no answered turns: from 2026-02-28T00:00:00.000Z to")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--against", "yesterday"), "is no period: write SINCE..UNTIL"),
        (("--against", "2d..3d"), "is empty"),
        (("--against", "a..b"), "is no time"),
        ((*THIS, "--against", "2026-03-02T12:00..2026-03-04"), "overlaps 2026-03-02T00:00:00.000Z..2026-03-03"),
        ((*THIS, "--against", "2026-03-01..2026-03-02T00:00:01"), "a call would be in both periods"),
        (("--since", "1h", "--until", "2h"), "is empty: it ends before it begins"),
    ],
)
def test_why_misused(run: Run, two_days: Path, words: tuple[str, ...], sentence: str) -> None:
    """A period that can't be read is wrong usage, and the sentence says what to write."""
    done = run("why", *words, "--data", str(two_days))
    assert done.returncode == 2
    assert sentence in done.stderr


def test_slow_turns_have_a_provider_in_common(run: Run, two_days: Path) -> None:
    """`slow` shows whose the longest segment is, and says that the slow turns have acme's voice in common."""
    words = ("slow", *THIS, "--threshold", "1.8", "--data", str(two_days), "--json")
    found = json.loads(run(*words).stdout)
    assert {turn["largest_segment"]["owner"] for turn in found["turns"]} == {"acme/flash"}
    assert {(one["kind"], one["value"]) for one in found["common"]["features"]} == {
        ("tts", "acme/flash"),
        ("owner", "tts_first_audio by acme/flash"),
        ("segment", "tts_first_audio"),
    }
    assert (found["common"]["slow"], found["common"]["rest"]) == (40, 40)
    none = run(*words, "--provider", "zeta")
    assert none.returncode == 3
    assert "provider zeta" in json.loads(none.stdout)["error"]["message"]


def test_segments_of_a_report(run: Run, two_days: Path) -> None:
    """The report's section says where all waits went; without being asked the report doesn't compute it."""
    found = json.loads(run("report", "--section", "segments", "--data", str(two_days), "--json").stdout)
    rows = found["sections"]["segments"]
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert {row["owner"] for row in rows if row["segment"] == "tts_first_audio"} == {"acme/flash", "zeta/flash"}
    assert "segments" not in json.loads(run("report", "--data", str(two_days), "--json").stdout)["sections"]


@pytest.fixture
def livekit(tmp_path: Path, run: Run) -> Path:
    """The capture of a LiveKit call in a store."""
    assert run("import", str(CAPTURES / "livekit.otlp.pb"), "--data", str(tmp_path / "data")).returncode == 0
    return tmp_path / "data"


def test_trace_of_a_framework_s_turn(program: Run, livekit: Path) -> None:
    """A turn that `slow` names can be opened, even where spans don't say it; its wait stands above its spans."""
    done = program("trace", f"{LIVEKIT}/3", "--data", str(livekit), PYTHONIOENCODING="utf-8", COLUMNS="120")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[2] == "the caller waited 2.38 s for the bot"
    wait = next(line for line in lines if line.startswith("wait "))
    assert re.search(r"e+l+w*t+l+w+a+", wait)
    assert lines.index(wait) < next(at for at, line in enumerate(lines) if "tool get_weather" in line)
    assert any(line.split()[:2] == ["t", "tool"] and line.endswith("get_weather") for line in lines)


def test_trace_json_has_segments(run: Run, livekit: Path) -> None:
    """In JSON each turn has its wait and its segments, which make it up."""
    found = json.loads(run("trace", LIVEKIT, "--data", str(livekit), "--json").stdout)
    turns = {turn["turn"]: turn for turn in found["turns"]}
    assert sum(one["duration_s"] for one in turns[3]["segments"]) == pytest.approx(turns[3]["waited_s"], abs=1e-3)
    assert sum(one["share"] for one in turns[3]["segments"]) == pytest.approx(1)
    assert turns[10]["abandon_reason"] == "error"


def test_trace_html(run: Run, livekit: Path, tmp_path: Path) -> None:
    """The page goes to a file or to stdout; it names nothing that would have to be loaded."""
    page = tmp_path / "call.html"
    done = run("trace", LIVEKIT, "--data", str(livekit), "--html", "--output", str(page))
    assert (done.returncode, done.stdout) == (0, "")
    text = page.read_text(encoding="utf-8")
    assert run("trace", LIVEKIT, "--data", str(livekit), "--html").stdout == text
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:|#)""", text)
    assert "url(http" not in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("--html", "--json"), "choose one format"), (("--output", "x"), "--output is for --json and --html")],
)
def test_trace_misused(run: Run, livekit: Path, words: tuple[str, ...], sentence: str) -> None:
    """Formats that contradict each other are wrong usage."""
    done = run("trace", LIVEKIT, "--data", str(livekit), *words)
    assert done.returncode == 2
    assert sentence in done.stdout + done.stderr
