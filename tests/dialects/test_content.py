"""With content capture off nothing that was said in any framework's spans is stored, measured or logged."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from otel_voicebot import semconv
from otel_voicebot.cli import main
from otel_voicebot.dialects import DIALECTS, Dialect
from otel_voicebot.processors import Policy, prepare
from otel_voicebot.processors.recognise import matches
from otel_voicebot.selfmetrics import SelfMetrics
from otel_voicebot.spans import decode
from otel_voicebot.store import snapshot
from tests.dialects.frameworks import NAMES, payload
from tests.processors.batches import Made, batch
from tests.test_content import SAID, WORD, carries, everything, strings, trigrams


def stored(data: bytes, *, capture: bool) -> tuple[pa.RecordBatch, list[str]]:
    """The rows of a request, and the labels of what was counted on the way."""
    metrics = SelfMetrics()
    rows = prepare(decode(data), Policy(capture_content=capture), metrics, "test", 0)
    return rows, [label for _, label in metrics.read()]


def sentences(text: str) -> Iterator[str]:
    """What a text says: itself, or the sentences inside the JSON that it is."""
    try:
        found = json.loads(text)
    except ValueError:
        found = text
    for one in strings(found):
        # JSON inside JSON, as tools' arguments are; a name is no sentence
        yield from sentences(one) if one != text and one[:1] in ("{", "[") else [one] if " " in one.strip() else []


def said_in(capture: str) -> Iterator[str]:
    """All that is content in a capture: what was said, prompts, tools' arguments, errors; also inside JSON."""
    patterns = tuple(sorted({key for dialect in DIALECTS for key in dialect.content} - {semconv.EXCEPTION_STACKTRACE}))
    for row in decode(payload(capture)).rows(0).to_pylist():
        events = [json.loads(event["attributes"]).items() for event in row["events"]]
        for key, value in [*row["attributes"], *(pair for pairs in events for pair in pairs)]:
            if matches(key, patterns):
                yield from sentences(value or "")
        yield row["status_message"] or ""


@pytest.mark.parametrize("capture", NAMES)
def test_no_three_words_in_a_row_of_a_capture_are_kept(
    capture: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """In no file of the store, no log of any level, no label of a metric and nothing that is printed."""
    caplog.set_level("DEBUG")
    spoken = set().union(*map(trigrams, said_in(capture)))
    assert len(spoken) > 20
    file = tmp_path / "spans.pb"
    file.write_bytes(payload(capture))
    assert main(("import", str(file), "--data", str(tmp_path / "data"))) == 0
    out, error = capfd.readouterr()
    rows, labels = stored(payload(capture), capture=False)
    kept = [*strings(rows.to_pylist()), *labels, *everything(tmp_path / "data"), caplog.text, out, error]
    for text in kept:
        assert spoken.isdisjoint(trigrams(text)), text[:200]


SPOKEN = {
    "pipecat": ("what is the weather in Paris", "It is eighteen degrees and sunny in Paris."),
    "pipecat_1_0_0": ("what is the weather in Paris", None),
    "livekit": ("what is the weather in Paris", "It is eighteen degrees and sunny in Paris."),
    "openai_otel": ("weather in Paris?", "It is eighteen degrees and sunny in Paris."),
    "openinference": ("weather in Paris?", "It is eighteen degrees and sunny in Paris."),
}


@pytest.mark.parametrize("capture", NAMES)
def test_texts_are_columns_with_capture_on_and_word_counts_without(capture: str) -> None:
    """The same rows have the same numbers of words either way."""
    on, _ = stored(payload(capture), capture=True)
    off, _ = stored(payload(capture), capture=False)
    heard, said = SPOKEN[capture]
    assert heard in on["user_text"].to_pylist()
    assert said in on["bot_text"].to_pylist() if said else any(on["bot_text"].to_pylist())
    for column in ("user_text", "bot_text", "status_message"):
        assert off[column].null_count == len(off)
    for column in ("user_words", "bot_words"):
        assert off[column].equals(on[column])
        assert off[column].null_count < len(off)
    words = [len(text.split()) for text in on["user_text"].to_pylist() if text]
    assert [count for count in off["user_words"].to_pylist() if count is not None] == words


def keys_of(dialect: Dialect) -> list[str]:
    """Every content key of a dialect; a glob as a name that it stands for."""
    return sorted(key.replace("*", "0.message.content") for key in dialect.content)


def scope_of(dialect: Dialect) -> str:
    """A scope that the dialect knows."""
    return dialect.scopes[0].replace("*", "own")


NESTED = (
    f'[{{"role": "user", "content": "{SAID}", "parts": [{{"type": "text", "content": "{WORD}"}}]}}]',
    f'{{"messages": [{{"content": "{SAID}"}}], "{WORD}": 1, "text": "{SAID}", "input": "{SAID}", "model": "{SAID}"}}',
)


@pytest.mark.parametrize("value", [SAID, WORD, *NESTED, [SAID], {"deep": SAID}, SAID.encode()], ids=str)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
def test_a_word_under_a_content_key_is_not_kept(dialect: Dialect, value: Any) -> None:
    """In an attribute, an event, a link or a resource of any span of the dialect, whatever `keep_attributes` says."""
    names = [*(name.rstrip("*") for name in dialect.span_names), "other"]
    planted = dict.fromkeys(keys_of(dialect), value)
    spans = [
        Made(name, planted, [("said", 5, planted)], [planted], scope=scope_of(dialect), resource=planted)
        for name in names
    ]
    metrics = SelfMetrics()
    rows = prepare(batch(*spans), Policy(keep=("*",)), metrics, "test", 0)
    assert set(rows["dialect"].to_pylist()) == {dialect.name}
    assert carries([*strings(rows.to_pylist()), *(label for _, label in metrics.read())], WORD) == []
    assert metrics.get(semconv.SELF_WITHHELD) >= len(spans) * len(planted)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
def test_errors_and_names_that_quote_somebody_are_not_kept(dialect: Dialect) -> None:
    """Exception texts, a status, and keys, span names and scopes that are sentences; the counts of drift show none."""
    failure = {semconv.EXCEPTION_TYPE: SAID, semconv.EXCEPTION_MESSAGE: SAID, semconv.EXCEPTION_STACKTRACE: WORD}
    attributes = {**failure, SAID: SAID, f"said {SAID}": 1, semconv.ERROR_TYPE: SAID}
    spans = [
        Made(name, attributes, [("exception", 5, failure), (SAID, 6, failure)], failed=True, message=SAID, scope=scope)
        for name in (SAID, *(name.rstrip("*") for name in dialect.span_names))
        for scope in (scope_of(dialect), SAID)
    ]
    metrics = SelfMetrics()
    rows = prepare(batch(*spans), Policy(), metrics, "test", 0)
    assert carries([*strings(rows.to_pylist()), *(label for _, label in metrics.read())], WORD) == []


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
def test_a_sentence_under_an_identifiers_key_is_not_kept(dialect: Dialect) -> None:
    """Nor in a column that such a key fills, be it inside JSON."""
    named = {field.key for column, field in dialect.fields() if column not in ("user_text", "bot_text")}
    planted = {key.replace("*", "0"): SAID for key in named | dialect.identifiers}
    spans = [
        Made(name.rstrip("*"), planted, [("said", 5, planted)], scope=scope_of(dialect))
        for name in (*dialect.span_names, "other")
    ]
    rows = prepare(batch(*spans), Policy(), SelfMetrics(), "test", 0)
    assert carries(list(strings(rows.to_pylist())), WORD) == []


def test_the_texts_of_a_capture_reach_the_store_with_capture_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the command line, as a user switches it on."""
    monkeypatch.setenv("OTEL_VOICEBOT_CAPTURE_CONTENT", "true")
    file = tmp_path / "spans.pb"
    file.write_bytes(payload("livekit"))
    assert main(("import", str(file), "--data", str(tmp_path / "data"))) == 0
    texts = snapshot(tmp_path / "data").read(["user_text", "bot_text"])
    assert "tell me a long story" in texts["user_text"].to_pylist()
