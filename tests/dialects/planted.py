"""Requests in which every place that carries what people said has a word of its own: each is looked for later."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from otel_voicebot import semconv
from otel_voicebot.dialects import DIALECTS, Dialect
from otel_voicebot.processors.recognise import matches
from tests.dialects.frameworks import NAMES, payload

__all__ = ["SENDERS", "Planted", "emit", "found_in"]

SENDERS: Final = (*NAMES, *(f"built {dialect.name}" for dialect in DIALECTS))
"""The captures with spans added to theirs, and spans of each dialect: of Traceloop and of ours there is no capture."""
_NOON: Final = 1_790_000_000_000_000_000
_WORD: Final = re.compile(r"qz[a-z]{7}")
_CODED: Final = re.compile(r"cX[o-r][A-Za-z0-9]{9}")
"""Nine letters are twelve in base64, which is how bytes are stored."""


def found_in(texts: Iterable[str]) -> set[str]:
    """All that may be a planted word."""
    words: set[str] = set()
    for text in texts:
        words.update(_WORD.findall(text.lower()))
        for coded in _CODED.findall(text):
            words.update(_WORD.findall(base64.b64decode(coded).decode("latin-1")))
    return words


def keys_of(dialect: Dialect) -> list[str]:
    """Every content key of a dialect; a glob as a name that it stands for."""
    return sorted(key.replace("*", "0.message.content") for key in dialect.content)


def scope_of(dialect: Dialect) -> str:
    """A scope that the dialect knows."""
    return dialect.scopes[0].replace("*", "own")


def emit(request: ExportTraceServiceRequest, provider: TracerProvider) -> None:
    """Make the same spans in this process, as a framework does."""
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            tracer = provider.get_tracer(scope.scope.name)
            for one in scope.spans:
                links = [Link(SpanContext(1, 2, is_remote=True), _plain(link.attributes)) for link in one.links]
                span = tracer.start_span(one.name, attributes=_plain(one.attributes), links=links)
                for event in one.events:
                    span.add_event(event.name, _plain(event.attributes))
                span.set_status(Status(StatusCode(one.status.code), one.status.message or None))
                span.end()


def _plain(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes as Python has them; maps are left out, which not every SDK takes."""
    found: dict[str, Any] = {}
    for one in attributes:
        kind = one.value.WhichOneof("value")
        if kind == "array_value":
            found[one.key] = [value.string_value for value in one.value.array_value.values]
        elif kind in ("string_value", "bytes_value"):
            found[one.key] = getattr(one.value, kind)
    return found


def _list(*values: AnyValue) -> AnyValue:
    return AnyValue(array_value=ArrayValue(values=values))


def _map(key: str, value: AnyValue) -> AnyValue:
    return AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=key, value=value)]))


def _text(word: str) -> AnyValue:
    return AnyValue(string_value=word)


FORMS: Final[dict[str, Callable[[str], AnyValue]]] = {
    "text": _text,
    "sentence": lambda word: _text(f"oh my {word} is ill"),
    "json": lambda word: _text(json.dumps([{"role": one, "content": word} for one in ("user", "assistant")])),
    "deep json": lambda word: _text(json.dumps({"text": word, "input": {"arguments": json.dumps({"of": word})}})),
    "list": lambda word: _list(_text("a"), _text(word)),
    "map": lambda word: _map("deep", _list(_map("deeper", _text(word)))),
    "bytes": lambda word: AnyValue(bytes_value=word.encode()),
}
"""How a text may stand in an attribute."""


@dataclass
class Planted:
    """Words, and the requests that they stand in.

    Attributes:
        words: each word, and where it was planted.
        leak: a word under a key that a user may choose to keep.
    """

    seed: int
    words: dict[str, str] = field(default_factory=dict)
    leak: str = ""

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self.leak = self.word("leak")

    def word(self, where: str) -> str:
        """A new word."""
        word = "qz" + "".join(self._random.choices("abcdefghijklmnopqrstuvwxyz", k=7))
        self.words[word] = where
        return word

    def spans(self, sender: str) -> ExportTraceServiceRequest:
        """A capture, or spans of a dialect, with copies of one span of each name that have words in all places.

        Of a dialect in each form; of a capture in the two that frameworks write.
        """
        request = ExportTraceServiceRequest()
        if sender in NAMES:
            request.ParseFromString(payload(sender))
        else:
            self._made(request, next(one for one in DIALECTS if sender == f"built {one.name}"))
        for resource in request.resource_spans:
            resource.resource.attributes.extend(
                self._attributes(f"{sender} resource", [semconv.INPUT_MESSAGES], "text")
            )
            for scope in resource.scope_spans:
                scope.scope.attributes.extend(self._attributes(f"{sender} scope", [semconv.INPUT_MESSAGES], "text"))
                self._add(scope, sender)
        return request

    def _made(self, request: ExportTraceServiceRequest, dialect: Dialect) -> None:
        scope = request.resource_spans.add().scope_spans.add()
        scope.scope.name = scope_of(dialect)
        for number, name in enumerate((*dialect.span_names, "own")):
            start = _NOON + number * 10**9
            scope.spans.add(
                trace_id=dialect.name.encode().ljust(16, b"."),
                span_id=(number + 1).to_bytes(8),
                name=name.replace("*", "own"),
                start_time_unix_nano=start,
                end_time_unix_nano=start + 10**8,
            )

    def _add(self, scope: ScopeSpans, sender: str) -> None:
        # a bot's own spans may carry what any framework writes
        known = [one for one in DIALECTS if matches(scope.scope.name, one.scopes)][:1] or DIALECTS
        keys = sorted({key for dialect in known for key in keys_of(dialect)})
        for span in {span.name: span for span in scope.spans}.values():
            for form in ("text", "json") if sender in NAMES else FORMS:
                scope.spans.append(self._with_words(span, keys, form, f"{sender} {span.name}"))

    def _with_words(self, span: Span, keys: list[str], form: str, where: str) -> Span:
        """A copy of a span, that failed and carries words in all places."""
        made = Span()
        made.CopyFrom(span)
        made.span_id = self._random.randbytes(8)
        others = [one for one in made.attributes if one.key not in keys]
        del made.attributes[:]
        made.attributes.extend([*others, *self._attributes(f"{where} attribute", keys, form)])
        made.attributes.append(KeyValue(key="leak.note", value=_text(self.leak)))
        at = made.start_time_unix_nano
        said = made.events.add(name="said", time_unix_nano=at)
        said.attributes.extend(self._attributes(f"{where} event", keys, form))
        failed = made.events.add(name="exception", time_unix_nano=at)
        failed.attributes.append(KeyValue(key="exception.type", value=_text("ValueError")))
        failed.attributes.extend(
            self._attributes(f"{where} exception", ["exception.message", "exception.stacktrace"], form)
        )
        link = made.links.add(trace_id=made.trace_id, span_id=span.span_id)
        link.attributes.extend(self._attributes(f"{where} link", keys, form))
        made.status.code, made.status.message = 2, self.word(f"{where} status")
        return made

    def _attributes(self, where: str, keys: Iterable[str], form: str) -> Iterator[KeyValue]:
        for key in keys:
            yield KeyValue(key=key, value=FORMS[form](self.word(f"{where} {key} as {form}")))

    def logs(self) -> ExportLogsServiceRequest:
        """A log record in each form: the body is a text that somebody said, and so are all content keys."""
        request = ExportLogsServiceRequest()
        records = request.resource_logs.add().scope_logs.add().log_records
        keys = sorted({key for dialect in DIALECTS for key in keys_of(dialect)})
        for form, made in FORMS.items():
            record = records.add(time_unix_nano=_NOON, severity_text="INFO", trace_id=b"native".ljust(16, b"."))
            record.body.CopyFrom(made(self.word(f"log body as {form}")))
            record.attributes.extend(self._attributes("log", keys, form))
        return request
