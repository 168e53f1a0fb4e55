"""With content capture off a real service keeps a text nowhere, whatever framework it comes from and wherever it stood.

A word of its own is planted in every content key of every dialect, in all forms that a value has, in events,
exceptions, links and status texts, and in log records; the captures' own conversations are beside it. One search looks
everywhere. That it finds what is there is seen with content capture on, and by one word under a key that is kept.
"""

import http.client
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from otel_voicebot.cli import main
from otel_voicebot.store import snapshot
from tests.app.bots import run
from tests.app.served import Served, until
from tests.dialects.frameworks import NAMES
from tests.dialects.planted import SENDERS, Planted, found_in
from tests.dialects.test_content import SPOKEN, said_in
from tests.test_content import everything, trigrams

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROTOBUF = {"content-type": "application/x-protobuf"}
KEEP = "leak.*"


@dataclass
class Kept:
    """What a service left of planted requests.

    Attributes:
        planted: the words.
        data: its data directory.
        texts: by place: all that stands there.
    """

    planted: Planted
    data: Path
    texts: dict[str, list[str]]

    def where(self, place: str) -> list[str]:
        """Where the words were planted that are found in a place."""
        return sorted(self.planted.words[word] for word in found_in(self.texts[place]) & self.planted.words.keys())

    @cached_property
    def trigrams(self) -> dict[str, set[str]]:
        """By place: each three words in a row."""
        return {place: set().union(*map(trigrams, texts)) for place, texts in self.texts.items()}


def post(service: Served, path: str, body: bytes) -> str:
    """What is answered to a request over a socket."""
    host, _, port = str(service.where["http"]).rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request("POST", path, body, PROTOBUF)
        answer = connection.getresponse()
        return f"{answer.status} {answer.read().decode('latin-1')}"
    finally:
        connection.close()


def send(data: Path, capture: str) -> Kept:
    """Planted requests, and broken ones, go to a service; what it then keeps, serves, answers and logs."""
    planted = Planted(seed=len(capture))
    env = {"OTEL_VOICEBOT_CAPTURE_CONTENT": capture, "OTEL_VOICEBOT_KEEP_ATTRIBUTES": KEEP}
    with Served(data, env=env) as service:
        requests = [planted.spans(sender) for sender in SENDERS]
        spans = sum(
            len(scope.spans) for one in requests for resource in one.resource_spans for scope in resource.scope_spans
        )
        bodies = [one.SerializeToString() for one in requests]
        answers = [post(service, "/v1/traces", body) for body in bodies]
        assert {answer[:3] for answer in answers} == {"200"}, answers
        logs = planted.logs().SerializeToString()
        answers.append(post(service, "/v1/logs", logs))
        answers += [post(service, "/v1/traces", body[: len(body) * 2 // 3]) for body in bodies]
        answers.append(post(service, "/v1/logs", logs[: len(logs) * 2 // 3]))
        until(lambda: service.total("voicebot_spans_committed_total") >= spans)
        until(lambda: service.total("voicebot_sessions_total") >= 2)
        texts = {"answers": answers, "metrics": [service.get("/metrics", "metrics")]}
        if capture == "false":
            texts["running"] = everything(data)
        service.stop()
    return Kept(planted, data, {**texts, "log": [service.log], "data": everything(data)})


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Content capture is off, which is the default."""
    return send(tmp_path_factory.mktemp("off") / "data", "false")


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Content capture is on."""
    return send(tmp_path_factory.mktemp("on") / "data", "true")


def test_no_planted_word_is_kept(off: Kept) -> None:
    """Of thousands of words one is found, under the key that is to be kept, and only in the store."""
    assert len(off.planted.words) > 5_000
    found = {place: off.where(place)[:20] for place in off.texts}
    assert found == {"answers": [], "metrics": [], "running": ["leak"], "log": [], "data": ["leak"]}


BUILT = [sender for sender in SENDERS if sender not in NAMES]
BOT = """
    import logging, urllib.request
    logging.basicConfig(level=logging.DEBUG)
    from tests.app.test_planted import BUILT
    from tests.dialects.planted import Planted, emit

    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    handle = vb.configure()
    planted = Planted(seed=1)
    for sender in BUILT:
        emit(planted.spans(sender), provider)
    assert handle.drain()
    print(urllib.request.urlopen(handle.metrics_url).read().decode())
    assert handle.shutdown()
"""


@pytest.mark.parametrize("capture", ["false", "true"])
def test_nor_is_one_kept_in_a_bots_own_process(tmp_path: Path, capture: str) -> None:
    """Through the embedded processor: in the store only where capture is on, and in no log of any level or metric."""
    settings = {"OTEL_VOICEBOT_CAPTURE_CONTENT": capture, "OTEL_VOICEBOT_METRICS_ADDR": "127.0.0.1:0"}
    out, log = run(BOT, OTEL_VOICEBOT_DATA=str(tmp_path), **settings)
    assert "voicebot_spans_committed_total" in out
    planted = Planted(seed=1)
    for sender in BUILT:
        planted.spans(sender)
    assert found_in([out, *log]) & planted.words.keys() == set()
    kept = found_in(everything(tmp_path)) & planted.words.keys()
    assert len(kept) > 10_000 if capture == "true" else kept == set()


@pytest.mark.parametrize("table", ["spans", "turns", "sessions"])
def test_no_answer_shows_one(off: Kept, table: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Of the commands that show calls, in tables and JSON, but for the word that is to be kept; nor a conversation."""
    longest = snapshot(off.data, "sessions").read(["session_id", "turns"]).sort_by([("turns", "descending")])
    traces = [("trace", one, "--json") for one in longest["session_id"].to_pylist()[:6]]
    asked = {
        "spans": [("export", "spans", "--format", format_) for format_ in ("jsonl", "csv")],
        "turns": [("export", "turns"), ("slow", "--limit", "500", "--json"), *traces, traces[0][:2]],
        "sessions": [("export", "sessions"), ("report", "--json"), ("report",), ("doctor", "--json"), ("logs",)],
    }
    texts = []
    for command in asked[table]:
        assert main((*command, "--data", str(off.data))) in (0, 1), command
        texts += capfd.readouterr()
    assert max(map(len, texts)) > 1_000
    shown = found_in(texts) & off.planted.words.keys()
    assert shown == {off.planted.leak} if table == "spans" else shown <= {off.planted.leak}
    said = set().union(*map(trigrams, texts))
    spoken = set().union(*(trigrams(text) for capture in NAMES for text in said_in(capture)))
    assert said & spoken == set()


@pytest.mark.parametrize("capture", NAMES)
def test_no_three_words_in_a_row_of_a_conversation_are_kept(off: Kept, capture: str) -> None:
    """What was said, prompts, tools' arguments and errors of each capture; in no place."""
    spoken = set().union(*map(trigrams, said_in(capture)))
    assert len(spoken) > 20
    assert {place: spoken & found for place, found in off.trigrams.items() if spoken & found} == {}


def test_the_search_finds_all_words_where_they_are_wanted(on: Kept) -> None:
    """With content capture on every one of them is in the store, none in metrics or logs; texts are columns."""
    missing = on.planted.words.keys() - found_in(on.texts["data"])
    assert {place for word in missing if " scope " not in (place := on.planted.words[word])} == set()  # never stored
    assert [on.where(place)[:20] for place in ("answers", "metrics", "log")] == [[], [], []]
    rows = snapshot(on.data).read(["dialect", "user_text", "bot_text"]).to_pylist()
    for heard, said in SPOKEN.values():
        assert heard in {row["user_text"] for row in rows}
        assert not said or said in {row["bot_text"] for row in rows}
    for name in ("user_text", "bot_text"):
        planted = {row["dialect"] for row in rows if found_in([row[name] or ""]) & on.planted.words.keys()}
        assert planted == {"native", "pipecat", "livekit", "openinference", "traceloop", "genai"}, name
