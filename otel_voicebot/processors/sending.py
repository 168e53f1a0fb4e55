"""Log requests that are sent on, without what people said: the rules of ``withhold``, on the request itself."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otel_voicebot.processors.identifiers import are_safe
from otel_voicebot.processors.withhold import clean, clean_resources
from otel_voicebot.spans.assemble import Values, attributes
from otel_voicebot.spans.attributes import Attributes, Kind, Mask

__all__ = ["without_content"]

_Clean = Callable[[Attributes, tuple[str, ...]], tuple[Attributes, int]]


def without_content(payload: bytes, keep: tuple[str, ...]) -> bytes:
    """An OTLP logs request (protobuf) without bodies, and without every text that would not be stored.

    A list, a map or bytes under any key is left out, whatever it holds. About 20 microseconds a record: not for the
    thread that answers senders.
    """
    request = ExportLogsServiceRequest.FromString(payload)
    for resource in request.resource_logs:
        _strip([resource.resource.attributes], clean_resources, keep)
        resource.ClearField("schema_url")
        for scope in resource.scope_logs:
            scope.ClearField("schema_url")
            _strip([scope.scope.attributes, *(record.attributes for record in scope.log_records)], clean, keep)
            for record in scope.log_records:
                record.ClearField("body")
            _clear_names([(scope.scope, "name"), (scope.scope, "version")])
            _clear_names([(record, name) for record in scope.log_records for name in ("severity_text", "event_name")])
    return request.SerializeToString()


def _strip(lists: Sequence[Iterable[KeyValue]], rules: _Clean, keep: tuple[str, ...]) -> None:
    texts = [pair for pair in _pairs(lists) if pair.value.WhichOneof("value") == "string_value"]
    values = Values(
        keys=pa.array([pair.key for pair in texts], pa.string()),
        kind=np.full(len(texts), Kind.STRING, np.uint8),
        text=pa.array([pair.value.string_value for pair in texts], pa.string()),
        integer=np.zeros(len(texts), np.int64),
        double=np.zeros(len(texts)),
    )
    each = np.arange(len(texts), dtype=np.int32)
    judged, _ = rules(attributes(np.ones_like(each), each, values), keep)
    bad: Mask = judged.kind == Kind.WITHHELD
    for pair, unsafe in zip(texts, bad.tolist(), strict=True):
        if unsafe:
            pair.value.CopyFrom(AnyValue())
    shown = [judged.keys[code] for code in judged.key.tolist()]
    for pair, key in zip(texts, shown, strict=True):
        pair.key = key
    for pair in _pairs(lists):
        if pair.value.WhichOneof("value") in ("array_value", "kvlist_value", "bytes_value"):
            pair.value.CopyFrom(AnyValue())


def _pairs(lists: Sequence[Iterable[KeyValue]]) -> Iterator[KeyValue]:
    for found in lists:
        yield from found


def _clear_names(names: list[tuple[object, str]]) -> None:
    texts = pa.array([getattr(message, field) for message, field in names], pa.string())
    for (message, field), safe in zip(names, are_safe(texts).tolist(), strict=True):
        if not safe:
            message.ClearField(field)  # type: ignore[attr-defined]
