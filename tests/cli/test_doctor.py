"""``otel-voicebot doctor``, on captures of real frameworks, on copies in which something is wrong, and on a service."""

import json
import random
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.generate import calls
from otel_voicebot.app.ingest import ingest
from otel_voicebot.receivers.requests import Request
from otel_voicebot.settings import Settings
from tests.app.served import Served, until
from tests.app.service_parts import request
from tests.cli.conftest import Run, call, commit
from tests.reports.captures import CAPTURES, another, capture, renamed, spans, value, without

Examine = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def examine(run: Run, tmp_path: Path) -> Examine:
    """Put requests into a store and run ``doctor --json`` on it; gives the exit code and the document."""

    def look(*requests: ExportTraceServiceRequest, **settings: Any) -> tuple[int, dict[str, Any]]:
        data = tmp_path / "examined"
        ingest([Request("traces", one.SerializeToString()) for one in requests], Settings(data=data, **settings))
        done = run("doctor", str(data), "--json")
        return done.returncode, json.loads(done.stdout)

    return look


def of_kind(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The findings of one kind."""
    return [one for one in document["findings"] if one["kind"] == kind]


def troubles(document: dict[str, Any]) -> set[str]:
    """The kinds of trouble."""
    return {one["kind"] for one in document["findings"] if one["level"] == "trouble"}


@pytest.mark.parametrize("name", ["openai_otel", "openinference"])
def test_calls_to_models_alone_make_no_turns(program: Run, name: str) -> None:
    """Exit code 1; it says so, names the framework with its version, and what to switch on."""
    done = program("doctor", str(CAPTURES / f"{name}.otlp.pb"))
    assert done.returncode == 1
    assert "no turn can be derived" in done.stdout
    assert "enable_tracing=True" in done.stdout
    assert {"openai_otel": "1.3b0", "openinference": "0.1.66"}[name] in done.stdout
    assert str(CAPTURES / f"{name}.otlp.pb") in done.stdout
    assert "content capture is off" in done.stdout


@pytest.mark.parametrize(
    ("name", "framework", "version", "turns", "answered"),
    [
        ("pipecat", "pipecat", "1.7.0+", 10, 8),
        ("pipecat_1_0_0", "pipecat", "not told", 10, 8),
        ("livekit", "livekit", "1.8.0+", 10, 6),
    ],
)
def test_a_call_of_a_framework_is_well(
    program: Run, run: Run, *, name: str, framework: str, version: str, turns: int, answered: int
) -> None:
    """Exit code 0: every field is there, every answered turn has its gap; the version is worked out from the fields."""
    done = program("doctor", str(CAPTURES / f"{name}.otlp.pb"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "all is well" in done.stdout
    assert version in done.stdout
    assert "MISSING" not in done.stdout
    document = json.loads(run("doctor", str(CAPTURES / f"{name}.otlp.pb"), "--json").stdout)
    (found,) = document["frameworks"]
    assert found["name"] == framework
    assert (found["turns"], found["answered"], found["gaps"]) == (turns, answered, answered)
    assert {one["kind"] for one in document["findings"]} <= {"content_off", "quality"}


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Thirty calls or so of the package's own spans."""
    bodies = [Request("traces", request(one.spans)) for one in calls(1200, seed=5)]
    ingest(bodies, Settings(data=tmp_path / "clean"))
    return tmp_path / "clean"


def test_clean_calls_are_well(clean: Path, program: Run, run: Run) -> None:
    """Exit code 0; the frameworks' table counts spans, calls and turns; --data, the argument and JSON say the same."""
    done = program("doctor", "--data", str(clean))
    assert (done.returncode, done.stderr) == (0, "")
    assert "all is well" in done.stdout
    document = json.loads(run("doctor", str(clean), "--json").stdout)
    assert document["ok"] is True
    assert document["schema"] == "otel_voicebot.doctor/1"
    (framework,) = document["frameworks"]
    assert (framework["name"], framework["scopes"]) == ("native", ["otel_voicebot"])
    assert framework["turns"] >= framework["answered"] == framework["gaps"] > 50
    assert framework["sessions"] == len(list(calls(1200, seed=5)))
    assert {one["state"] for one in document["fields"]} <= {"mapped", "sometimes"}


def test_a_window_and_filters_select_calls(clean: Path, run: Run) -> None:
    """Only the spans of the calls that are meant are looked at; none is exit code 3."""
    ((first, *_), *_) = [one.spans for one in calls(1200, seed=5)]
    bot = str(first.attributes["voicebot.bot"])
    whole, part = (json.loads(run("doctor", str(clean), *words, "--json").stdout) for words in ([], ["--bot", bot]))
    assert 0 < part["frameworks"][0]["spans"] < whole["frameworks"][0]["spans"]
    assert run("doctor", str(clean), "--variant", "none such").returncode == 3
    assert run("doctor", str(clean), "--since", "1h").returncode == 3


@pytest.mark.parametrize(
    ("name", "key", "new"),
    [
        ("pipecat", "turn.user_bot_latency_seconds", "turn.user_to_bot_latency_seconds"),
        ("livekit", "lk.e2e_latency", "lk.end_to_end_latency"),
    ],
)
def test_a_renamed_attribute_is_trouble_and_breaks_nothing_else(
    examine: Examine, run: Run, tmp_path: Path, name: str, key: str, new: str
) -> None:
    """Exit code 1, the missing name and the new one are named; report still works."""
    code, document = examine(renamed(capture(name), key, new))
    assert code == 1
    (finding,) = of_kind(document, "renamed")
    assert finding["names"] == [key, new]
    assert key in finding["text"]
    assert new in finding["text"]
    assert troubles(document) == {"renamed"}
    assert document["frameworks"][0]["turns"] == 10
    assert run("report", "--data", str(tmp_path / "examined")).returncode == 0


@pytest.mark.parametrize("key", ["turn.number", "turn.user_bot_latency_seconds"])
def test_another_name_altogether_is_missed_and_shown(examine: Examine, key: str) -> None:
    """What is always written and is gone is named, and so is what is new."""
    code, document = examine(renamed(capture("pipecat"), key, "zz.quux"))
    assert code == 1
    assert of_kind(document, "missing")[0]["names"] == [key, "zz.quux"]
    assert "turn: zz.quux" in of_kind(document, "new")[0]["names"]


def test_texts_that_somebody_removed_are_no_trouble(examine: Examine) -> None:
    """A processor on the way takes what people said: that is noted. In its place an unknown name is trouble."""
    changed = capture("pipecat")
    for span in spans(changed):
        kept = [one for one in span.attributes if one.key not in ("transcript", "input", "output", "text")]
        del span.attributes[:]
        span.attributes.extend(kept)
    code, document = examine(changed)
    assert code == 0
    assert {one["names"][0] for one in of_kind(document, "texts_removed")} == {"transcript", "input", "text"}


def test_a_renamed_text_is_trouble(examine: Examine) -> None:
    """Also where the new name is quite another one."""
    code, document = examine(renamed(capture("pipecat"), "transcript", "zz.quux"))
    assert (code, troubles(document)) == (1, {"missing"})
    assert "stt: zz.quux" in of_kind(document, "new")[0]["names"]


def test_what_is_switched_off_is_told_and_is_no_trouble(examine: Examine) -> None:
    """Pipecat without metrics: what to switch on."""
    changed = capture("pipecat")
    for span in spans(changed):
        kept = [one for one in span.attributes if not one.key.startswith(("metrics.", "gen_ai.usage."))]
        del span.attributes[:]
        span.attributes.extend(kept)
    _, document = examine(changed)
    advice = {one["advice"] for one in of_kind(document, "switched_off")}
    assert any("enable_metrics=True" in one for one in advice)
    assert any("enable_usage_metrics=True" in one for one in advice)
    assert all(one["level"] == "note" for one in of_kind(document, "switched_off"))


def test_turns_that_are_missing_look_sampled(examine: Examine) -> None:
    """Two turns of nine with all that they hold are gone: their numbers have holes, and KPIs need every span."""
    changed = capture("pipecat")
    gone = {span.span_id for span in spans(changed) if value(span, "turn.number") in (3, 5)}
    code, document = examine(without(changed, lambda span: span.span_id in gone or span.parent_span_id in gone))
    (finding,) = of_kind(document, "sampled")
    assert (code, finding["level"]) == (1, "trouble")
    assert "turn numbers have holes in 1 of 1 ended call (2 turns missing)" in finding["text"]
    assert "KPIs need every span" in finding["advice"]


@pytest.mark.parametrize("name", ["pipecat", "livekit"])
def test_spans_that_are_missing_here_and_there_look_sampled(examine: Examine, name: str) -> None:
    """Of each two spans one is left, as a sampler of spans does it: parents never came."""
    chance = random.Random(7)
    code, document = examine(without(capture(name), lambda span: bool(span.parent_span_id) and chance.random() < 0.5))
    (finding,) = of_kind(document, "sampled")
    assert (code, finding["level"]) == (1, "trouble")
    assert "name a parent that never came" in finding["text"]


def test_a_root_that_never_came_is_no_sampling(examine: Examine) -> None:
    """A bot that was killed: the call has no end, which is noted and is no trouble."""
    _, document = examine(without(capture("pipecat"), lambda span: span.name == "conversation"))
    assert of_kind(document, "sampled") == []
    assert of_kind(document, "no_root")[0]["level"] == "note"
    assert "1 of 1 ended call" in of_kind(document, "no_root")[0]["text"]


def test_a_call_that_goes_on_lacks_nothing(examine: Examine) -> None:
    """Its root and the open turn come later: nothing is said of them."""
    now = int(datetime.now(UTC).timestamp()) * 1_000_000_000
    begun = another(capture("pipecat"), bytes([7]) * 16, now - 300_000_000_000)
    last = max(span.end_time_unix_nano for span in spans(begun) if span.name == "turn")
    going = without(begun, lambda span: span.name == "conversation" or span.end_time_unix_nano == last)
    _, document = examine(going)
    assert (of_kind(document, "sampled"), of_kind(document, "no_root")) == ([], [])


@pytest.mark.parametrize(
    ("keeps", "found"),
    [
        (lambda trace: int.from_bytes(trace[8:]) < 2**62, 1),
        (lambda trace: int.from_bytes(trace[9:]) >= 3 * 2**54, 1),
        (lambda trace: trace[0] < 64, 0),
    ],
    ids=["a tracer's ratio", "a Collector's share", "chance"],
)
def test_calls_that_a_sampler_chose_by_their_id_are_told(
    examine: Examine, keeps: Callable[[bytes], bool], found: int
) -> None:
    """Each call is whole, and the ids show that three of four never came: a tracer keeps low ones, a Collector high."""
    chance = random.Random(3)
    ids = [chance.randbytes(16) for _ in range(160)]
    chosen = [one for one in ids if keeps(one)]
    assert len(chosen) > 30
    turn = [span for span in spans(capture("pipecat")) if span.name in ("conversation", "turn")][-2:]
    small = without(capture("pipecat"), lambda span: span.span_id not in {one.span_id for one in turn})
    for span in spans(small):
        for attribute in span.attributes:
            if attribute.key == "turn.number":
                attribute.value.int_value = 1
    code, document = examine(*(another(small, one) for one in chosen))
    sampled = of_kind(document, "sampled")
    assert len(sampled) == found
    assert all("decides by trace id" in one["text"] for one in sampled)
    assert code == 1 or not found


def test_a_sampling_threshold_in_the_trace_state_is_told(examine: Examine) -> None:
    """OpenTelemetry's own mark of a sampled span."""
    changed = capture("pipecat")
    for span in spans(changed):
        span.trace_state = "ot=th:c"
    code, document = examine(changed)
    assert code == 1
    assert "38 spans say in their trace state that they were sampled" in of_kind(document, "sampled")[0]["text"]


def _of_two_services(shift_s: float) -> ExportTraceServiceRequest:
    """The model's calls come from a service of their own, whose clock is ``shift_s`` ahead."""
    changed = capture("pipecat")
    far = changed.resource_spans.add()
    far.resource.attributes.add(key="service.name").value.string_value = "gateway"
    moved = far.scope_spans.add()
    moved.scope.name = "gateway"
    for turn in [span for span in spans(changed) if span.name == "llm"]:
        inner = moved.spans.add()
        inner.CopyFrom(turn)
        inner.name, inner.kind = "POST /chat", Span.SPAN_KIND_SERVER
        inner.span_id, inner.parent_span_id = bytes([255, *turn.span_id[1:]]), turn.span_id
        inner.start_time_unix_nano += round(shift_s * 1e9)
        inner.end_time_unix_nano += round(shift_s * 1e9)
        del inner.attributes[:]
    return changed


@pytest.mark.parametrize(
    ("shift", "said"), [(-2.5, ["at least 2.50 s behind the one of voicebot-pipecat"]), (0.05, [])]
)
def test_clocks_that_disagree_are_told(examine: Examine, shift: float, said: list[str]) -> None:
    """Work that begins before it was asked for: whose clock is off, and by how much at least."""
    _, document = examine(_of_two_services(shift))
    found = of_kind(document, "clocks")
    assert [one["text"].partition(" is ")[2].partition(" (")[0] for one in found] == said
    assert all(one["names"] == ["gateway", "voicebot-pipecat"] for one in found)


def test_a_clock_that_runs_ahead_of_ours_is_told(examine: Examine) -> None:
    """Spans end after they came in."""
    ahead = int(datetime.now(UTC).timestamp() + 7200) * 1_000_000_000
    code, document = examine(another(capture("pipecat"), bytes([7]) * 16, ahead))
    assert code == 1
    assert "ahead of the one here" in of_kind(document, "clocks")[0]["text"]


def test_content_capture_is_told(examine: Examine) -> None:
    """With it on, nothing is said of it."""
    _, document = examine(capture("pipecat"), capture_content=True)
    assert of_kind(document, "content_off") == []
    assert "Hello" not in json.dumps(document)


def test_spans_that_can_not_be_kept_are_told(run: Run, tmp_path: Path) -> None:
    """Of files, what was rejected is trouble."""
    changed = capture("pipecat")
    next(iter(spans(changed))).span_id = b""
    (tmp_path / "bad.pb").write_bytes(changed.SerializeToString())
    done = run("doctor", str(tmp_path / "bad.pb"), "--json")
    assert done.returncode == 1
    (finding,) = of_kind(json.loads(done.stdout), "rejected")
    assert finding["text"].startswith("1 span rejected")


def test_spans_of_nobody_are_named_by_their_scope(examine: Examine) -> None:
    """No framework that is known: exit code 1, and what to do."""
    changed = capture("pipecat")
    for resource in changed.resource_spans:
        for scope in resource.scope_spans:
            scope.scope.name = "acme.voice"
    for span in spans(changed):
        del span.attributes[:]
    code, document = examine(changed)
    assert code == 1
    (finding,) = of_kind(document, "not_recognised")
    assert finding["names"] == ["acme.voice"]
    assert "YAML" in finding["advice"]


def test_quality_rules_that_turns_break_are_counted(run: Run, tmp_path: Path) -> None:
    """A turn whose own span never came is named by its rule, beside the parents that are missing."""
    (one, *_) = calls(100, seed=5)
    lost = next(span for span in one.spans if span.name == "voicebot.turn")
    rest = request(span for span in one.spans if span is not lost)
    ingest([Request("traces", rest)], Settings(data=tmp_path / "data"))
    document = json.loads(run("doctor", str(tmp_path / "data"), "--json").stdout)
    (rule,) = [one for one in of_kind(document, "quality") if one["names"] == ["no_turn_span"]]
    assert "the turn's own span was not" in rule["advice"]
    assert troubles(document) == {"sampled"}


def test_an_empty_directory_and_none_are_no_data(program: Run, tmp_path: Path) -> None:
    """Exit code 3, in JSON too."""
    (tmp_path / "empty").mkdir()
    for words in ([str(tmp_path / "empty")], ["--data", str(tmp_path / "nowhere")], [str(tmp_path / "nowhere")]):
        assert program("doctor", *words).returncode == 3
    done = program("doctor", str(tmp_path / "empty"), "--json")
    assert json.loads(done.stdout)["error"]["code"] == 3


def test_a_damaged_file_is_left_out_and_named(clean: Path, run: Run) -> None:
    """Exit code 4; what can be read is looked at."""
    path = commit(clean, *call("call-3", "c", 1.0))
    path.write_bytes(b"PAR1 no")
    done = run("doctor", str(clean), "--json")
    assert done.returncode == 4
    document = json.loads(done.stdout)
    assert [one["path"] for one in document["unreadable"]] == [str(path)]
    assert document["frameworks"][0]["spans"] >= 1200


@pytest.mark.parametrize(
    "words",
    [
        ["--endpoint", "ftp://x"],
        ["--endpoint", "http://"],
        ["--endpoint", "127.0.0.1:1", "here"],
        ["--data", "here", "there"],
        ["one", "two"],
    ],
)
def test_wrong_usage_is_named(run: Run, words: list[str]) -> None:
    """Exit code 2."""
    assert run("doctor", *words).returncode == 2


def test_files_that_can_not_be_read_are_named(run: Run, tmp_path: Path) -> None:
    """Exit code 4; the others are looked at. Alone it is an error; a file without spans is no data."""
    (tmp_path / "bad.jsonl").write_text("{no json\n")
    (tmp_path / "empty.jsonl").write_text("")
    done = run("doctor", str(CAPTURES / "pipecat.otlp.pb"), str(tmp_path / "bad.jsonl"), "--json")
    assert done.returncode == 4
    document = json.loads(done.stdout)
    assert [one["path"] for one in document["unreadable"]] == [str(tmp_path / "bad.jsonl")]
    assert document["frameworks"][0]["turns"] == 10
    assert run("doctor", str(tmp_path / "bad.jsonl")).returncode == 4
    assert run("doctor", str(tmp_path / "empty.jsonl")).returncode == 3


def test_a_framework_of_a_yaml_file_is_known(run: Run, tmp_path: Path) -> None:
    """Its name, turns and columns are told like those of ours."""
    (tmp_path / "acme.yaml").write_text(
        "name: acme\nscopes: [acme.*]\nspan_names: {call: session, exchange: turn, model: llm}\n"
        "columns: {session_id: acme.call, turn_index: acme.turn, input_tokens: acme.tokens}\n"
    )
    changed = capture("pipecat")
    names = {"conversation": "call", "turn": "exchange", "llm": "model"}
    for resource in changed.resource_spans:
        for scope in resource.scope_spans:
            scope.scope.name = "acme.bot"
    for span in spans(changed):
        span.name = names.get(span.name, span.name)
        tokens = value(span, "gen_ai.usage.input_tokens")
        del span.attributes[:]
        if tokens:
            span.attributes.add(key="acme.tokens").value.int_value = int(str(tokens))
    (tmp_path / "acme.pb").write_bytes(changed.SerializeToString())
    setting = {"OTEL_VOICEBOT_DIALECTS": str(tmp_path / "acme.yaml")}
    document = json.loads(run("doctor", str(tmp_path / "acme.pb"), "--json", **setting).stdout)
    assert document["frameworks"][0]["name"] == "acme"
    assert ("acme.tokens", "mapped", 9) in [(one["key"], one["state"], one["found"]) for one in document["fields"]]


def test_an_endpoint_that_does_not_answer_is_named(program: Run) -> None:
    """Exit code 5, with the address."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = program("doctor", "--endpoint", f"http://127.0.0.1:{port}")
    assert done.returncode == 5
    assert f"http://127.0.0.1:{port}/metrics" in done.stderr
    assert done.stdout == ""


def test_a_service_is_asked_by_its_metrics(run: Run, tmp_path: Path) -> None:
    """Idle and after a call it is well; unknown scopes and names, rejected spans and unreadable bodies are told."""
    with Served(tmp_path / "data") as served:
        idle = run("doctor", "--endpoint", served.where["metrics"], "--json")
        assert idle.returncode == 0
        assert of_kind(json.loads(idle.stdout), "idle")
        for one in calls(100, seed=5):
            assert _post(served, request(one.spans)) == 200
        until(lambda: served.total("voicebot_turns_total") > 0)
        well = run("doctor", "--endpoint", f"http://{served.where['metrics']}/metrics")
        assert (well.returncode, "all is well" in well.stdout) == (0, True)

        bad = renamed(capture("pipecat"), "turn.type", "turn.zz")
        next(iter(spans(bad))).span_id = b""
        _post(served, bad.SerializeToString())
        _post(served, b"no OTLP")
        until(lambda: served.total("voicebot_spans_rejected_total") > 0)
        done = run("doctor", "--endpoint", served.where["metrics"], "--json")
        not_metrics = run("doctor", "--endpoint", f"{served.where['http']}/healthz")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert {"rejected", "refused"} <= troubles(document)
    assert ["pipecat/turn.zz"] in [one["names"] for one in of_kind(document, "new")]
    assert {one["metric"]: one["value"] for one in document["counts"]}["voicebot.spans.rejected"] == 1
    assert not_metrics.returncode == 5


def _post(served: Served, body: bytes) -> int:
    head = {"Content-Type": "application/x-protobuf"}
    post = urllib.request.Request(f"http://{served.where['http']}/v1/traces", body, head)
    try:
        with urllib.request.urlopen(post, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_page_keeps_sampling_out_of_our_pipeline() -> None:
    """The Collector configuration of docs/doctor.md: two pipelines on one receiver, and only the other one samples."""
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    pipelines = yaml.safe_load(page.partition("```yaml")[2].partition("```")[0])["service"]["pipelines"]
    ours, theirs = pipelines["traces"], pipelines["traces/elsewhere"]
    assert ours["receivers"] == theirs["receivers"]
    assert ours["exporters"] == ["otlp_grpc/voicebot"]
    assert set(theirs["processors"]) - set(ours["processors"]) == {"tail_sampling"}
