"""The content policy: with content capture off, text is kept only where it is known to be an identifier.

A list of forbidden keys protects against what its author thought of; here unknown keys are withheld. The key stays,
with the number of characters. Numbers and booleans always stay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.dialects import DIALECTS, STAMPS
from otel_voicebot.dialects.native import NATIVE
from otel_voicebot.processors.identifiers import NAME_COLUMNS, are_identifiers, are_short
from otel_voicebot.spans.attributes import Attributes, Kind
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["SAFE", "withhold"]

SAFE: Final[dict[str, str]] = {
    "service.*": "names a deployment",
    "telemetry.*": "names the SDK",
    "deployment.*": "names a deployment",
    "host.*": "names a machine",
    "os.*": "names a machine",
    "cloud.*": "names a machine",
    "container.id": "names a machine",
    "container.name": "names a machine",
    "container.image.*": "names a machine",
    "k8s.*": "names a machine",
    "faas.*": "names a function",
    "process.runtime.*": "names a runtime",
    "process.executable.name": "names a program",
    "thread.name": "names a thread",
    "code.function.name": "names code",
    "code.file.path": "names code",
    "http.request.method": "a fixed set",
    "http.route": "a template, without values",
    "http.scheme": "a fixed set",
    "http.method": "a fixed set",
    "url.scheme": "a fixed set",
    "server.address": "names a service",
    "network.*": "names a protocol",
    "net.*": "names a protocol or service",
    "rpc.system": "names a protocol",
    "rpc.system.name": "names a protocol",
    "rpc.service": "names code",
    "rpc.method": "names code",
    "db.system": "names a product",
    "db.system.name": "names a product",
    "db.operation.name": "a fixed set",
    "db.collection.name": "names a table",
    "messaging.system": "names a product",
    "messaging.destination.name": "names a queue",
    "gen_ai.system": "names a provider",
    "gen_ai.conversation.id": "an id",
    "gen_ai.agent.name": "names an agent",
    "gen_ai.agent.id": "an id",
    "gen_ai.response.id": "an id",
    "gen_ai.response.finish_reasons": "a fixed set",
    "gen_ai.output.type": "a fixed set",
    "gen_ai.tool.type": "a fixed set",
    "gen_ai.tool.call.id": "an id",
    "gen_ai.request.encoding_formats": "a fixed set",
    "exception.type": "names a class",
    "exception.escaped": "a flag",
    "otel.*": "written by the SDK",
}
"""Keys or globs whose texts are identifiers, and why; beside our own names that hold no content (``semconv``)."""

_CONTENT: Final = frozenset().union(
    *(dialect.content for dialect in DIALECTS),
    (name for name, attribute in semconv.ATTRIBUTES.items() if attribute.content),
)
_OURS: Final = frozenset(semconv.ATTRIBUTES) - _CONTENT
_KEYS: Final = {"user_text": semconv.USER_TEXT, "bot_text": semconv.BOT_TEXT}
"""Content columns, and the attribute under which the number of their characters stays."""
_NAMES: Final = frozenset(
    key for column in NAME_COLUMNS for one in (STAMPS, NATIVE.columns) for key in one.get(column, ())
)
"""Keys of names that a developer configures."""


def withhold(batch: SpanBatch, keep: Sequence[str] = ()) -> SpanBatch:
    """The batch without texts that may carry what people said; ``withheld`` counts them.

    Args:
        batch: after ``normalise``.
        keep: names or globs of attributes that may stay, beside those that we know. Attributes known to be content
            don't: storing them is what content capture is for.
    """
    columns, said, count = _content_columns(batch)
    kept = tuple(keep)
    attributes, first = _clean(_with_lengths(batch.attributes, said), kept)
    events, second = _clean(batch.events.attributes, kept)
    links, third = _clean(batch.links.attributes, kept)
    resources, fourth = _clean(batch.resources, kept, _NAME)
    return batch.with_columns(
        columns,
        attributes=attributes,
        events=replace(batch.events, attributes=events),
        links=replace(batch.links, attributes=links),
        resources=resources,
        withheld=batch.withheld + count + first + second + third + fourth,
    )


def _content_columns(batch: SpanBatch) -> tuple[dict[str, pa.Array], dict[str, pa.StringArray], int]:
    """Empty content columns, the texts that go back under their attribute's key, and how many have no key."""
    empty = pa.nulls(len(batch), pa.string())
    columns = dict.fromkeys((*_KEYS, "status_message"), empty)
    texts = {key: batch.column(name) for name, key in _KEYS.items()}
    said = {key: column for key, column in texts.items() if column.null_count < len(column)}
    return columns, said, len(batch) - batch.column("status_message").null_count


def _with_lengths(attributes: Attributes, said: Mapping[str, pa.StringArray]) -> Attributes:
    for key, column in said.items():
        attributes = attributes.with_texts(key, column)
    return attributes


def _clean(attributes: Attributes, keep: tuple[str, ...], at_least: int = 0) -> tuple[Attributes, int]:
    """The attributes without unsafe texts, and how many those were; a safe key's texts are judged ``at_least`` so."""
    texts = (attributes.kind == Kind.STRING) | (attributes.kind == Kind.JSON)
    texts &= np.asarray(pc.fill_null(pc.greater(pc.binary_length(attributes.text), 0), False))  # noqa: FBT003
    if not len(attributes) or not texts.any():
        return attributes, 0
    by_key = [_verdict(key, keep) for key in attributes.keys]
    verdicts = np.array([verdict and max(verdict, at_least) for verdict in by_key], dtype=np.int8)[attributes.key]
    bad = texts & (verdicts == _NEVER)
    for verdict, fits in ((_IDENTIFIER, are_identifiers), (_NAME, are_short)):
        judged = np.flatnonzero(texts & (verdicts == verdict))
        if len(judged):
            bad[judged] = ~fits(attributes.text.take(pa.array(judged)))
    if not bad.any():
        return attributes, 0
    return attributes.withheld(bad), int(bad[attributes.value].sum())


_NEVER, _IDENTIFIER, _NAME, _ALWAYS = range(4)


@lru_cache(maxsize=8192)
def _verdict(key: str, keep: tuple[str, ...]) -> int:
    """What may stay under a key: nothing, an identifier, a name, or any text. Content never, whatever ``keep`` says."""
    if key in _CONTENT:
        return _NEVER
    if any(fnmatchcase(key, pattern) for pattern in keep):
        return _ALWAYS
    if key in _NAMES:
        return _NAME
    known = key in _OURS or any(fnmatchcase(key, pattern) for pattern in SAFE)
    return _IDENTIFIER if known else _NEVER
