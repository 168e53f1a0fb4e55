"""A framework that only its user knows is read through a YAML file."""

import json
from pathlib import Path

import pytest

from otel_voicebot.app.policy import policy_of
from otel_voicebot.cli import main
from otel_voicebot.dialects import COLUMNS, DIALECTS, Dialect, load
from otel_voicebot.errors import UsageError
from otel_voicebot.processors import prepare
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.settings import load as settings
from otel_voicebot.store import snapshot
from tests.dialects.frameworks import rows_of
from tests.processors.batches import START, Made, batch, encoded
from tests.test_content import SAID, WORD, carries, everything, strings

ACME = """
name: acme
scopes: [acme.*]
marking_keys: [acme.call]
span_names: {call: session, exchange: turn, "model *": llm}
kinds: {acme.type: {recogniser: stt, voice: tts}}
columns:
  session_id: acme.call
  turn_index: acme.turn
  time_to_first_chunk_s: [{key: acme.first_ms, unit: ms, spans: ["model *"], positive: true}, acme.first_s]
  input_tokens: {key: acme.usage, inside: tokens.in}
  reported_gap_s: {key: acme.gap_ms, unit: ms}
  interrupted: [{key: acme.cut, text: true}, {key: acme.ends, words: {'["barged"]': true, spoken: false}}]
  audio_s: {key: acme.audio_ms, unit: ms, text: true}
  outcome: {key: acme.result, words: {done: resolved, lost: failed}}
  user_text: acme.heard
  bot_text: {key: acme.messages, role: bot}
content: [acme.heard, acme.messages, acme.secret.*]
identifiers: [acme.voice]
unknown: ["n/a"]
"""
SPANS = (
    Made("exchange", {"acme.call": "c1", "acme.turn": 2, "acme.gap_ms": 1250, "acme.cut": "TRUE"}, scope="acme.bot"),
    Made("model x", {"acme.first_ms": 300.0, "acme.first_s": 9.0, "acme.usage": '{"tokens": {"in": 7}}'}, scope="acme"),
    Made("model y", {"acme.first_ms": 0, "acme.first_s": 0.5, "acme.call": "c1"}, scope="someone"),
    Made("part", {"acme.type": "recogniser", "acme.heard": "good morning", "acme.voice": "nova"}, scope="acme.bot"),
    Made("call", {"acme.result": "done", "acme.call": "n/a"}, scope="acme.bot"),
    Made("part", {"acme.messages": '[{"role": "bot", "content": "to you too"}]'}, scope="acme.bot"),
)


def dialects(tmp_path: Path, text: str = ACME) -> tuple[Dialect, ...]:
    """The dialect of such a file, before our own."""
    file = tmp_path / "acme.yaml"
    file.write_text(text)
    return (*load([file], (one.name for one in DIALECTS), COLUMNS), *DIALECTS)


def test_a_yaml_file_is_a_table_like_ours(tmp_path: Path) -> None:
    """Names, units, JSON, words, conditions: every part of the file does what it says."""
    turn, first, second, heard, call, said = rows_of(*SPANS, dialects=dialects(tmp_path))
    assert (turn["component"], turn["session_id"], turn["turn_index"]) == ("turn", "c1", 2)
    assert (turn["reported_gap_s"], turn["interrupted"]) == (1.25, True)
    assert (first["dialect"], first["component"]) == (None, "other")  # `acme` is not `acme.*`
    assert (second["dialect"], second["component"], second["time_to_first_chunk_s"]) == ("acme", "llm", 0.5)
    assert (heard["component"], heard["user_text"], heard["user_words"]) == ("stt", "good morning", 2)
    assert (call["component"], call["session_id"], call["outcome"]) == ("session", None, "resolved")
    assert (said["bot_text"], said["bot_words"]) == ("to you too", 3)
    ends = (["barged"], "spoken", "barged")
    cut = rows_of(*(Made("part", {"acme.ends": end}, scope="acme.bot") for end in ends), dialects=dialects(tmp_path))
    assert [one["interrupted"] for one in cut] == [True, False, None]
    flags = (True, "false", "maybe", 1.0)
    cut = rows_of(*(Made("part", {"acme.cut": flag}, scope="acme.bot") for flag in flags), dialects=dialects(tmp_path))
    assert [one["interrupted"] for one in cut] == [True, False, None, None]
    lengths = (250, "500", 750.0, "long", "-1")
    made = (Made("part", {"acme.audio_ms": length}, scope="acme.bot") for length in lengths)
    assert [one["audio_s"] for one in rows_of(*made, dialects=dialects(tmp_path))] == [0.25, 0.5, 0.75, None, None]
    again = rows_of(SPANS[1], dialects=dialects(tmp_path, ACME.replace("[acme.*]", "[acme]")))[0]
    assert (again["time_to_first_chunk_s"], again["input_tokens"]) == (0.3, 7)


def test_its_names_of_events_are_its_own(tmp_path: Path) -> None:
    """Another library's event of that name, on its own spans, says nothing."""
    own = dialects(tmp_path, f"{ACME}first_chunks: [tok]")
    events = [("tok", START + 3 * 10**8, {})]
    mine, other = rows_of(
        Made("model z", {}, events, scope="acme.bot"),
        Made("x", {"openinference.span.kind": "LLM"}, events, scope="openinference.x"),
        dialects=own,
    )
    assert (mine["time_to_first_chunk_s"], other["time_to_first_chunk_s"]) == (0.3, None)


def test_its_content_is_withheld_and_its_identifiers_stay(tmp_path: Path) -> None:
    """Whatever `keep_attributes` says: what the file calls content is never stored without content capture."""
    file = tmp_path / "acme.yaml"
    file.write_text(ACME)
    policy = policy_of(settings(dialects=str(file), keep_attributes="acme.*,other.*"))
    planted = {
        "acme.heard": SAID,
        "acme.secret.word": WORD,
        "acme.messages": f'[{{"role": "bot", "content": "{SAID}"}}]',
    }
    made = batch(Made("part", {**planted, "acme.voice": "nova"}, scope="acme.bot"))
    rows = prepare(made, policy, SelfMetrics(), "test", 0)
    assert carries(list(strings(rows.to_pylist())), WORD) == []
    assert dict(rows["attributes"].to_pylist()[0])["acme.voice"] == "nova"
    assert rows["user_words"].to_pylist() == [4]


def test_the_file_of_the_page_makes_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As docs/frameworks.md shows it: a turn with its model's tokens and times, and nothing that troubles doctor."""
    page = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text()
    file, spans, data = tmp_path / "acme.yaml", tmp_path / "spans.pb", str(tmp_path / "data")
    file.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    usage = '{"prompt": {"tokens": 7}, "completion": {"tokens": 2}}'
    heard = [("acme.silence", START + 8 * 10**8, {}), ("acme.voice_out", START + 17 * 10**8, {})]
    made = (  # seconds from and to, and whose child it is
        (0.0, 1.0, 4, Made("listen fast", {"acme.heard": "what is it", "acme.voice": "nova"}, scope="acme.bot")),
        (1.0, 2.0, 4, Made("think hard", {"acme.usage": usage, "acme.first_ms": 300}, scope="acme.bot")),
        (1.5, 3.0, 4, Made("speak", {"acme.first_ms": 200, "acme.vendor": "v"}, scope="acme.bot")),
        (0.0, 3.0, 5, Made("exchange", {"acme.exchange_number": 1, "acme.end": "said"}, heard, scope="acme.bot")),
        (0.0, 3.5, 0, Made("call", {"acme.call_id": "c1"}, scope="acme.bot")),
    )
    request = encoded(*(one for *_, one in made))
    for (start, end, parent, _), resource in zip(made, request.resource_spans, strict=True):
        (span,) = resource.scope_spans[0].spans
        span.trace_id, span.parent_span_id = b"t" * 16, parent.to_bytes(8, "big") if parent else b""
        span.start_time_unix_nano, span.end_time_unix_nano = START + int(start * 1e9), START + int(end * 1e9)
    spans.write_bytes(request.SerializeToString())
    monkeypatch.setenv("OTEL_VOICEBOT_DIALECTS", str(file))
    assert main(("import", str(spans), "--data", data)) == 0
    assert main(("doctor", data)) == 0
    capfd.readouterr()
    assert main(("export", "turns", "--data", data, "--format", "jsonl")) == 0
    row = json.loads(capfd.readouterr().out)
    told = ("session_id", "turn_index", "outcome", "response_gap_s", "interrupted", "input_tokens", "output_tokens")
    assert [row[name] for name in told] == ["c1", 1, "answered", 0.9, False, 7, 2]
    told = ("stt_s", "llm_first_token_s", "llm_s", "tts_first_audio_s", "tts_provider", "user_text")
    assert [row[name] for name in told] == [1.0, 0.3, 1.0, 0.2, "v", None]


def test_the_setting_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import with it stores what the file says; the texts only with content capture on."""
    file, spans = tmp_path / "acme.yaml", tmp_path / "spans.pb"
    file.write_text(ACME)
    spans.write_bytes(encoded(*SPANS).SerializeToString())
    monkeypatch.setenv("OTEL_VOICEBOT_DIALECTS", str(file))
    assert main(("import", str(spans), "--data", str(tmp_path / "off"))) == 0
    rows = snapshot(tmp_path / "off").read(["dialect", "session_id", "reported_gap_s"]).to_pylist()
    assert {"dialect": "acme", "session_id": "c1", "reported_gap_s": 1.25} in rows
    assert carries(everything(tmp_path / "off"), "good morning") == []
    monkeypatch.setenv("OTEL_VOICEBOT_CAPTURE_CONTENT", "true")
    assert main(("import", str(spans), "--data", str(tmp_path / "on"))) == 0
    assert "good morning" in snapshot(tmp_path / "on").read(["user_text"])["user_text"].to_pylist()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "is no YAML"),
        ("- a", "no mapping"),
        ("name: acme", "nothing would be recognised"),
        ("scopes: [a]", "name: None is no text"),
        ("{name: livekit, scopes: [a]}", "there is a dialect 'livekit' already"),
        ("{name: a, scopes: [a], span_name: {}}", "'span_name' is none of"),
        ("{name: a, scopes: [1]}", "scopes: 1 is no text"),
        ("{name: a, scopes: [a], span_names: {x: recogniser}}", "span_names: x: 'recogniser' is none of"),
        ("{name: a, scopes: [a], columns: {ttft: x}}", "columns: 'ttft' is none of"),
        ("{name: a, scopes: [a], columns: {bot: {unit: ms}}}", "columns: bot: a field needs a key"),
        ("{name: a, scopes: [a], columns: {audio_s: {key: x, unit: hours}}}", "unit: 'hours' is none of"),
        ("{name: a, scopes: [a], columns: {audio_s: {key: x, positive: 1}}}", "positive: 1 is neither"),
        ("{name: a, scopes: [a], columns: {bot: {key: 'x.*'}}}", "a key with * needs a role"),
        ("{name: a, scopes: [a], columns: {bot: 7}}", "columns: bot: 7 is no mapping"),
        (
            "{name: a, scopes: [a], columns: {interrupted: {key: x, words: {yes: true}}}}",
            "True is no text, put it in quotes",
        ),
        ("{name: a, scopes: [a], columns: {interrupted: {key: x, words: {y: z}}}}", "y: 'z' is no boolean, which"),
        (
            "{name: a, scopes: [a], columns: {outcome: {key: x, words: {won: on}}}}",
            "True is no text, which outcome",
        ),
        ("{name: a, scopes: [a], columns: {csat: {key: x, words: {good: 5}}}}", "csat is a column of numbers"),
        ("{name: a, scopes: [a], columns: {outcome: {key: x, words: [won]}}}", "words: ['won'] is no mapping"),
        ("{name: a, scopes: [a], kinds: {x: {yes: stt}}}", "kinds: x: True is no text, put it in quotes"),
        (
            "{name: a, scopes: [a], columns: {bot: {key: x, inside: y, text: true}}}",
            "inside and text don't go together",
        ),
        ("{name: a, scopes: [a], columns: {bot: {key: x, unit: ms}}}", "bot is a column of texts"),
        ("{name: a, scopes: [a], columns: {bot: 'x.*'}}", "a key with * needs a role"),
        ("{name: a, scopes: [a], columns: {bot: {key: 'x.*', role: y}}}", "stands for a list's number"),
        ("{name: a, scopes: [a], columns: {bot: {key: x, since: 1.0.0}}}", "'since' is none of"),
        ("{name: a, scopes: [a], speech: {user.stopped: x}}", "speech: 'user.stopped' is none of bot.speech.end, "),
        (
            "{name: a, scopes: [a], speech: {user.speech.end: x, bot.speech.start: x}}",
            "'x' has another meaning already",
        ),
    ],
)
def test_a_wrong_file_is_named_with_the_place_and_the_value(tmp_path: Path, text: str, said: str) -> None:
    """So that its author finds it."""
    with pytest.raises(UsageError) as error:
        dialects(tmp_path, text)
    assert said in str(error.value)
    assert str(tmp_path / "acme.yaml") in str(error.value)


def test_a_file_that_is_not_there_ends_with_the_code_of_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And the sentence says which."""
    monkeypatch.setenv("OTEL_VOICEBOT_DIALECTS", str(tmp_path / "none.yaml"))
    spans = tmp_path / "spans.pb"
    spans.write_bytes(encoded(*SPANS).SerializeToString())
    assert main(("import", str(spans), "--data", str(tmp_path / "data"))) == 2
    assert "none.yaml can't be read" in " ".join(capfd.readouterr().err.split())
