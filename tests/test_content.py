"""With content capture off nothing that people said is on disk, in logs or in /metrics, whatever door it came by."""

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, Status, StatusCode

import otel_voicebot as vb
from otel_voicebot import semconv
from otel_voicebot.cli import main
from otel_voicebot.embedded import ParquetSpanExporter
from otel_voicebot.processors import Policy
from otel_voicebot.store import snapshot
from tests.app.bots import run

WORD = "quetzalcoatlus"
SAID = f"my {WORD} is ill"
CONTENT_KEYS = sorted(name for name, attribute in semconv.ATTRIBUTES.items() if attribute.content)
FOREIGN_KEYS = [
    *("note", "prompt", "lk.response.text", "input.value", "llm.input_messages.0.message.content", "user.name"),
    *("transcript", "gen_ai.prompt", "gen_ai.completion", "db.statement", "db.query.text", "url.full", "http.url"),
]
"""Of other frameworks, and of nobody: we can't know them all."""


def texts(prefix: str = "") -> dict[str, Any]:
    """The word under every kind of key and in every kind of value."""
    plain = {f"{prefix}{key}": SAID for key in (*CONTENT_KEYS, *FOREIGN_KEYS)}
    return {
        **plain,
        f"{prefix}one.word": WORD,
        f"{prefix}list": [WORD, SAID],
        f"{prefix}tuple": (SAID,),
        f"{prefix}nested": {"deep": {"deeper": [SAID, {"deepest": WORD}]}},
        f"{prefix}bytes": SAID.encode(),
    }


IDENTIFIERS = {
    **dict.fromkeys(
        ("voicebot.intent.name", "error.type", "voicebot.bot", "voicebot.channel", "voicebot.variant"), SAID
    ),
    **dict.fromkeys(("voicebot.agent", "gen_ai.provider.name", "gen_ai.request.model", "session.id"), SAID),
    **dict.fromkeys(("otel.scope.name", "voicebot.session.outcome", "gen_ai.conversation.id"), SAID),
    "http.route": f"/ask/{SAID}",
    "gen_ai.response.finish_reasons": SAID.split(),
    "gen_ai.request.encoding_formats": [SAID],
    "k8s.pod.name": {"deep": SAID.split()},
    "db.collection.name": SAID.encode(),
    SAID: 1,
    "net.peer.name": SAID.replace(" ", ","),
}
"""Keys that hold identifiers, with a sentence by mistake; and a sentence as key."""
FREE = {
    **dict.fromkeys(("otel.status_description", "k8s.pod.annotation.note", "service.description", "faas.note"), WORD),
    **dict.fromkeys(("os.description", "cloud.note", "net.note", "network.note", "telemetry.note", "host.note"), WORD),
}
"""Under the prefixes of identifiers, but free text: not one word stays."""


def plant(provider: TracerProvider) -> None:
    """A call that carries the word wherever a span can."""
    tracer = provider.get_tracer("other")
    with vb.session(bot="bank", session_id="call-1", caller=f"+41{WORD}") as session:
        with vb.turn() as turn, vb.stt() as stt:
            turn.user_speech(start=1.0, end=2.0)
            stt.transcript(SAID)
            turn.bot_speech_start()
        with contextlib.suppress(RuntimeError), vb.turn(), vb.tool("vet") as tool:
            tool.call(arguments=SAID, result=SAID)
            raise RuntimeError(SAID)
        with vb.llm(model="m") as llm, vb.tts() as tts:
            llm.messages(input=SAID, output=SAID, system=SAID)
            tts.text(SAID)
        vb.event("user_message", {"own": SAID})
        session.outcome("resolved")
    token = context.attach(baggage.set_baggage("said", SAID))
    state = trace.TraceState([("said", SAID)])
    links = [Link(trace.SpanContext(1, 2, is_remote=True, trace_state=state), {**texts(), **IDENTIFIERS, **FREE})]
    everywhere = {**texts(), **IDENTIFIERS, **FREE}
    with tracer.start_as_current_span("other", attributes=everywhere, links=links) as span:
        span.add_event("said", {**texts("event."), **IDENTIFIERS, **FREE})
        span.add_event(SAID, {SAID: SAID})
        span.record_exception(ValueError(SAID))
        span.set_status(Status(StatusCode.ERROR, SAID))
    provider.get_tracer(SAID, SAID).start_span(SAID).end()
    context.detach(token)


@pytest.fixture(scope="module")
def planted() -> Sequence[ReadableSpan]:
    """The spans of such a call, as a bot that puts texts on spans makes them."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(
        shutdown_on_exit=False, resource=Resource({"service.name": SAID, "motto": SAID, SAID: SAID, **FREE})
    )
    provider.add_span_processor(SimpleSpanProcessor(kept))
    from otel_voicebot.instrument.runtime import runtime

    with runtime.using(provider, runtime.clock, capture_content=True):
        plant(provider)
    spans = kept.get_finished_spans()
    assert sum(WORD in str(dict(span.attributes or {})) for span in spans) >= 4
    return spans


def strings(value: object) -> Iterator[str]:
    """Every text inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(key)
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


def everything(data: Path) -> list[str]:
    """All texts in a data directory: names and bytes of files, and each value of the Parquet files, decoded."""
    found = [str(path.relative_to(data)) for path in data.rglob("*")]
    found += [path.read_bytes().decode("latin-1") for path in data.rglob("*") if path.is_file()]
    for path in data.rglob("*.parquet"):
        found += strings(pq.read_table(path).to_pylist())
        found += strings(pq.read_metadata(path).to_dict())
    assert any(path.suffix == ".parquet" for path in data.rglob("*"))
    return found


def carries(found: Sequence[str], word: str) -> list[str]:
    """Texts in which the word stands."""
    return [text[:80] for text in found if word in text.lower()]


def test_the_exporter_keeps_the_word_out(
    planted: Sequence[ReadableSpan], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Behind the stock processor the word reaches neither disk nor log; with capture on it is stored."""
    caplog.set_level("DEBUG")
    ParquetSpanExporter(tmp_path / "off").export(planted)
    assert carries(everything(tmp_path / "off"), WORD) == []
    assert snapshot(tmp_path / "off").rows == len(planted)
    ParquetSpanExporter(tmp_path / "on", Policy(capture_content=True)).export(planted)
    assert carries(everything(tmp_path / "on"), WORD) != []
    assert WORD not in caplog.text
    rows = snapshot(tmp_path / "on").read(["user_text"]).to_pylist()
    assert {"user_text": SAID} in rows


def test_an_import_keeps_the_word_out(
    planted: Sequence[ReadableSpan],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file with the word in all places, and one that is cut off, leave it in none; with capture on it is stored."""
    caplog.set_level("DEBUG")
    content = encode_spans(planted).SerializeToString()
    whole, broken = tmp_path / "whole.pb", tmp_path / "broken.pb"
    whole.write_bytes(content)
    broken.write_bytes(content[: len(content) * 2 // 3])
    assert main(("import", str(whole), "--data", str(tmp_path / "off"))) == 0
    assert main(("import", str(broken), "--data", str(tmp_path / "off"))) == 4
    out, error = capfd.readouterr()
    assert carries([*everything(tmp_path / "off"), caplog.text, out, error], WORD) == []
    monkeypatch.setenv("OTEL_VOICEBOT_CAPTURE_CONTENT", "true")
    assert main(("import", str(whole), "--data", str(tmp_path / "on"))) == 0
    assert carries(everything(tmp_path / "on"), WORD) != []


BOT = """
    import logging, urllib.request
    logging.basicConfig(level=logging.DEBUG)
    from tests.test_content import SAID, plant
    from opentelemetry.sdk.resources import Resource

    def fail(commit):
        raise RuntimeError(SAID)

    provider = TracerProvider(resource=Resource({"motto": SAID}))
    trace.set_tracer_provider(provider)
    handle = vb.configure(on_commit=fail, hash_key="k")
    plant(provider)
    assert handle.drain()
    print(urllib.request.urlopen(handle.metrics_url).read().decode())
    assert handle.shutdown()
"""


@pytest.mark.parametrize("capture", ["false", "true"])
def test_the_pipeline_keeps_the_word_out(tmp_path: Path, capture: str) -> None:
    """Through configure() it is on disk only where capture is on, and never in a log of any level or in /metrics."""
    out, errors = run(
        BOT,
        OTEL_VOICEBOT_DATA=str(tmp_path),
        OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0",
        OTEL_VOICEBOT_CAPTURE_CONTENT=capture,
    )
    assert "voicebot_turns_total{" in out
    assert any("on_commit failed with RuntimeError" in line for line in errors)
    assert carries([out, *errors], WORD) == []
    assert bool(carries(everything(tmp_path), WORD)) == (capture == "true")


DEMO = """
    import json, logging, urllib.request
    logging.basicConfig(level=logging.DEBUG)
    from otel_voicebot.demo.run import run

    handle = vb.configure(create_provider=True)
    held = run(calls=3, concurrency=3, real_time=False)
    assert handle.drain()
    said = [text for call in held.calls for one in call.utterances for text in (one.reference, one.hypothesis)]
    print(json.dumps([said, urllib.request.urlopen(handle.metrics_url).read().decode()]))
"""


def trigrams(text: str) -> set[str]:
    """Three words in a row, without punctuation."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    return {" ".join(words[index : index + 3]) for index in range(len(words) - 2)}


@pytest.mark.slow
def test_no_three_words_of_a_spoken_call_are_stored(tmp_path: Path) -> None:
    """Of real calls no three words in a row of caller or bot are kept; with capture on all transcripts are there."""
    pytest.importorskip("pocketsphinx", reason="real calls need the extra [demo]")
    seen = {}
    for capture in ("true", "false"):
        data = tmp_path / capture
        out, errors = run(
            DEMO,
            OTEL_VOICEBOT_DATA=str(data),
            OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0",
            OTEL_VOICEBOT_CAPTURE_CONTENT=capture,
        )
        said, metrics = json.loads(out)
        assert "voicebot_turns_total{" in metrics
        seen[capture] = (said, data, [metrics, *errors])
    said, data, _ = seen["true"]
    rows = snapshot(data).read(["user_text", "bot_text"]).to_pylist()
    stored = {text for row in rows for text in row.values() if text}
    assert {text for text in said if text} & stored
    assert any(row["bot_text"] for row in rows)
    spoken = set().union(*map(trigrams, [*said, *seen["false"][0], *stored]))
    assert len(spoken) > 50
    _, data, logged = seen["false"]
    for text in [*everything(data), *logged]:
        assert spoken.isdisjoint(trigrams(text)), text[:200]
