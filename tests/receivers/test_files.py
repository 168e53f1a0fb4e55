"""OTLP files of every form give the same requests; what is damaged is named after the rest was read."""

import base64
import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Request
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs

from otel_voicebot.errors import UnreadableDataError, UsageError
from otel_voicebot.receivers import payloads
from otel_voicebot.spans import decode

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
WITH_BOTH = ["livekit", "pipecat", "openinference"]

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": lambda content: bytes(pa.compress(content, "zstd", asbytes=True)),
}


def request(number: int, **attributes: str) -> Request:
    """A request of one span."""
    made = Request()
    span = made.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id = number.to_bytes(16)
    span.span_id = number.to_bytes(8)
    span.name = f"span {number}"
    span.kind = 3
    span.start_time_unix_nano = 1_795_219_367_081_687_649
    for key, value in attributes.items():
        span.attributes.add(key=key).value.string_value = value
    link = span.links.add()
    link.trace_id, link.span_id = (number + 1).to_bytes(16), (number + 1).to_bytes(8)
    return made


def otlp_json(made: Request) -> dict[str, Any]:
    """OTLP/JSON as its specification wants it: hex ids, enums as numbers, int64 as strings."""
    document = json_format.MessageToDict(made, use_integers_for_enums=True)
    for resource in document.get("resourceSpans", []):
        for scope in resource.get("scopeSpans", []):
            for span in scope.get("spans", []):
                for holder in (span, *span.get("links", [])):
                    for key in ("traceId", "spanId", "parentSpanId"):
                        if key in holder:
                            holder[key] = base64.b64decode(holder[key]).hex()
    return document


def line(made: Request) -> bytes:
    """One line of a Collector's file exporter."""
    return json.dumps(otlp_json(made)).encode() + b"\n"


def framed(content: bytes) -> bytes:
    """One message of a Collector's file exporter with ``format: proto``."""
    return len(content).to_bytes(4) + content


FORMS: dict[str, Callable[[list[Request]], bytes]] = {
    "json lines": lambda requests: b"".join(map(line, requests)),
    "json lines, base64 ids and enum names": lambda requests: b"".join(
        json.dumps(json_format.MessageToDict(made)).encode() + b"\n" for made in requests
    ),
    "json lines, protobuf's field names": lambda requests: b"".join(
        json.dumps(json_format.MessageToDict(made, preserving_proto_field_name=True)).encode() + b"\r\n"
        for made in requests
    ),
    "length and protobuf": lambda requests: b"".join(framed(made.SerializeToString()) for made in requests),
    "length and zstd protobuf": lambda requests: b"".join(
        framed(PACKERS["zstd"](made.SerializeToString())) for made in requests
    ),
    "length and zstd json": lambda requests: b"".join(framed(PACKERS["zstd"](line(made))) for made in requests),
}


def read(path: Path) -> tuple[list[Request], str]:
    """The requests of a file, and what was said about damage."""
    found: list[Request] = []
    said = ""
    try:
        found.extend(Request.FromString(payload) for _, payload, _ in payloads(path))
    except UnreadableDataError as error:
        said = str(error).removeprefix(f"{path}: ")
    return found, said


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_requests(tmp_path: Path, form: str, packer: str) -> None:
    """JSON lines and length-prefixed messages, in each dialect and compression, give the requests written."""
    requests = [request(number, key="value", other="é\n\u2028") for number in range(1, 6)]
    path = tmp_path / "file.whatever"
    path.write_bytes(PACKERS[packer](FORMS[form](requests)))
    assert read(path) == (requests, "")


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", WITH_BOTH)
def test_captures_read_alike_from_json_and_protobuf(tmp_path: Path, name: str, packer: str) -> None:
    """What frameworks emitted reads the same from a pretty-printed document, one line, and protobuf."""
    pretty = (CAPTURES / f"{name}.otlp.json").read_bytes()
    raw = (CAPTURES / f"{name}.otlp.pb").read_bytes()
    expected = ([Request.FromString(raw)], "")
    for number, content in enumerate((pretty, json.dumps(json.loads(pretty)).encode(), raw, b"\n\n" + pretty)):
        path = tmp_path / f"{number}"
        path.write_bytes(PACKERS[packer](content))
        assert read(path) == expected


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.pb")), ids=lambda path: path.name)
def test_protobuf_is_handed_on_as_it_is(path: Path) -> None:
    """A protobuf file is yielded byte for byte."""
    assert list(payloads(path)) == [("traces", path.read_bytes(), 0)]


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.text(max_size=200), min_size=1, max_size=4),
    form=st.sampled_from(sorted(FORMS)),
    packer=st.sampled_from(sorted(PACKERS)),
)
def test_texts_of_any_kind_survive(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], form: str, packer: str
) -> None:
    """Whatever a span is called, each form gives it back."""
    requests = [request(number, text=name) for number, name in enumerate(names, 1)]
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(PACKERS[packer](FORMS[form](requests)))
    assert read(path) == (requests, "")


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, 400))
def test_a_protobuf_file_is_never_taken_for_json(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    """A request of any length, also one whose second byte is an opening brace, is protobuf."""
    made = request(7, text="x" * length)
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(made.SerializeToString())
    assert read(path) == ([made], "")


def test_other_signals_are_skipped_and_told(tmp_path: Path) -> None:
    """Lines that hold metrics only give nothing but a note; fields that we don't know are ignored."""
    document = otlp_json(request(1)) | {"fromTheFuture": [1]}
    lines = [{"resourceMetrics": []}, document, {"resourceMetrics": [{}]}, {"resourceSpans": []}]
    path = tmp_path / "mixed.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    notes: list[str] = []
    found = [Request.FromString(payload) for _, payload, _ in payloads(path, note=notes.append)]
    assert found == [request(1), Request()]
    assert notes == [f"{path}: skipped 2 requests that hold other signals than traces and logs"]


LOGS = LogsData(
    resource_logs=[
        ResourceLogs(scope_logs=[ScopeLogs(log_records=[LogRecord(observed_time_unix_nano=5, trace_id=b"t" * 16)])])
    ]
)


@pytest.mark.parametrize("packer", PACKERS)
def test_logs_are_told_from_traces(tmp_path: Path, packer: str) -> None:
    """In JSON by their name, in protobuf by their fields; a document may hold both."""
    log = json_format.MessageToDict(LOGS)
    path = tmp_path / "mixed.jsonl"
    lines = [log, otlp_json(request(1)), otlp_json(request(2)) | log]
    path.write_bytes(PACKERS[packer]("\n".join(map(json.dumps, lines)).encode()))
    found = list(payloads(path))
    assert [signal for signal, _, _ in found] == ["logs", "traces", "traces", "logs"]
    assert LogsData.FromString(found[0][1]) == LogsData.FromString(found[3][1]) == LOGS
    path.write_bytes(PACKERS[packer](LOGS.SerializeToString()))
    assert list(payloads(path)) == [("logs", LOGS.SerializeToString(), 0)]
    frames = [b"".join((len(one).to_bytes(4, "big"), one)) for one in (LOGS.SerializeToString(), packed(request(1)))]
    path.write_bytes(PACKERS[packer](b"".join(frames)))
    assert [signal for signal, _, _ in payloads(path)] == ["logs", "traces"]


def packed(made: Request) -> bytes:
    """A request as bytes."""
    content: bytes = made.SerializeToString()
    return content


def test_an_id_that_is_none_costs_its_span_only(tmp_path: Path) -> None:
    """The request is read; the span is refused where spans are judged."""
    path = tmp_path / "odd.jsonl"
    for identifier in ("z", 7):
        document = otlp_json(request(1))
        document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"] = identifier
        path.write_text(json.dumps(document))
        ((_, payload, _),) = payloads(path)
        assert decode(payload).rejected == {"invalid_trace_id": 1}


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    """A file exporter that has not written yet leaves an empty file: no request, no error."""
    path = tmp_path / "empty"
    path.write_bytes(b"")
    assert read(path) == ([], "")
    path.write_bytes(gzip.compress(b""))
    assert read(path) == ([], "")


def test_a_damaged_line_costs_only_itself(tmp_path: Path) -> None:
    """Good lines before and after a broken one are read; the error names line and column."""
    good = [line(request(number)) for number in (1, 2, 3)]
    path = tmp_path / "spans.jsonl"
    path.write_bytes(good[0] + good[1][:50] + b"\n" + good[2])
    with pytest.raises(UnreadableDataError) as caught:
        list(payloads(path))
    assert caught.value.paths == (str(path),)
    found, said = read(path)
    assert found == [request(1), request(3)]
    assert said.startswith("line 2: broken JSON at column ")
    assert said.endswith("; the rest was read")


def test_a_truncated_file_gives_what_is_whole(tmp_path: Path) -> None:
    """Cut in its last line or message, a file gives the others and names the place."""
    requests = [request(number) for number in (1, 2, 3)]
    path = tmp_path / "spans"
    for form, place in (("json lines", "line 3: broken JSON at"), ("length and protobuf", "byte ")):
        path.write_bytes(FORMS[form](requests)[:-10])
        found, said = read(path)
        assert found == requests[:2]
        assert said.startswith(place)
    size = len(framed(requests[0].SerializeToString()))
    assert said == f"byte {2 * size}: the last request is cut short; the rest was read"


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_a_truncated_compressed_file_gives_what_can_be_unpacked(tmp_path: Path, packer: str) -> None:
    """Lines that could be unpacked are read before the error."""
    requests = [request(number, text=base64.b85encode(number.to_bytes(400)).decode()) for number in range(1, 2000)]
    path = tmp_path / "spans"
    content = PACKERS[packer](FORMS["json lines"](requests))
    path.write_bytes(content[: len(content) - 12])
    found, said = read(path)
    assert found == requests[: len(found)]
    assert len(found) > 1000
    assert "the compressed stream is damaged or ends too early" in said


def test_a_broken_document_names_the_line(tmp_path: Path) -> None:
    """A pretty-printed document that was cut says in which line it broke off."""
    content = (CAPTURES / "pipecat.otlp.json").read_bytes()
    path = tmp_path / "pretty.json"
    path.write_bytes(content[: len(content) // 2])
    found, said = read(path)
    assert found == []
    assert said.startswith("broken JSON at line ")


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1 something else",
        b"\x00\x00\x00\x05hello",
        b"\nhello",
        b"hello\n",
        b'{"traces": []}\n',
        b"{}",
        b'{"resourceSpans": 7}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": 7}]}]}]}',
        b'{"resourceSpans": ' + b"[" * 100_000,
        b'{"resourceSpans": "\xff"}',
        b"\x28\xb5\x2f\xfdnonsense",
        b"\x1f\x8bnonsense",
    ],
)
def test_what_is_no_otlp_is_unreadable_data(tmp_path: Path, content: bytes) -> None:
    """Anything else gives no request and one sentence, never another exception, and never quotes the content."""
    path = tmp_path / "file"
    path.write_bytes(content)
    found, said = read(path)
    assert found == []
    assert said
    assert "hello" not in said


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=300), prefix=st.sampled_from([b"", b"{", b"\n", b"\x00\x00\x00", b"\x28\xb5\x2f\xfd"])
)
def test_any_bytes_end_in_requests_or_in_that_error(
    tmp_path_factory: pytest.TempPathFactory, prefix: bytes, content: bytes
) -> None:
    """No file raises anything but unreadable data."""
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(prefix + content)
    read(path)


def test_a_file_that_can_not_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    """A wrong name is the user's to correct."""
    with pytest.raises(UsageError, match=r"can't open .*/missing: No such file or directory"):
        list(payloads(tmp_path / "missing"))


def test_a_large_file_is_read_line_by_line(tmp_path: Path) -> None:
    """Only one request is in memory: a compressed file far larger unpacked is read in a bounded one."""
    path = tmp_path / "spans.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(50):
            file.write(line(request(1, text="x" * 1_000_000)))
    tracemalloc.start()
    count = sum(1 for _ in payloads(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 50
    assert peak < 20_000_000
