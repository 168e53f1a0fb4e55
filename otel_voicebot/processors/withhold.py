"""The content policy: with content capture off, text is kept only where it is known to be an identifier.

A list of forbidden keys protects against what its author thought of; here unknown keys are withheld. The key stays,
with the number of characters. Numbers and booleans always stay.
"""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.dialects import DIALECTS
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

_LONGEST: Final = 200
"""An identifier is no longer than this,"""
_WORDY: Final = r"\S\s+\S+\s+\S"
"""and has no three words: what looks like a sentence is withheld under any key."""

_CONTENT: Final = frozenset().union(
    *(dialect.content for dialect in DIALECTS),
    (name for name, attribute in semconv.ATTRIBUTES.items() if attribute.content),
)
_OURS: Final = frozenset(semconv.ATTRIBUTES) - _CONTENT
_COLUMNS: Final = ("user_text", "bot_text", "status_message")
"""Columns that hold content."""
_IDENTIFIERS: Final = (
    *("error_type", "bot", "channel", "variant", "session_id", "user_hash", "provider", "model", "operation", "intent"),
    *("end_reason", "outcome", "cache_name", "cache_level", "mos_kind", "handoff_target", "handoff_requested_by"),
    *("agent", "decision", "adapter"),
)
"""Columns that hold identifiers: a sentence there is a mistake of whoever wrote it, and is withheld too."""


def withhold(batch: SpanBatch, keep: Sequence[str] = ()) -> SpanBatch:
    """The batch without texts that may carry what people said; ``withheld`` counts them.

    Args:
        batch: after ``normalise``.
        keep: names or globs of attributes that may stay, beside those that we know.
    """
    count = 0
    columns = {}
    for name in (*_COLUMNS, *_IDENTIFIERS):
        column = batch.columns.get(name)
        if column is None or column.null_count == len(column):
            continue
        bad = pc.is_valid(column) if name in _COLUMNS else _sentence_rows(column)
        if bad.true_count:
            count += bad.true_count
            columns[name] = pc.if_else(bad, pa.scalar(None, pa.string()), column)
    kept = tuple(keep)
    attributes, first = _clean(batch.attributes, kept)
    events, second = _clean(batch.events.attributes, kept)
    links, third = _clean(batch.links.attributes, kept)
    resources, fourth = _clean(batch.resources, kept)
    return batch.with_columns(
        columns,
        attributes=attributes,
        events=replace(batch.events, attributes=events),
        links=replace(batch.links, attributes=links),
        resources=resources,
        withheld=batch.withheld + count + first + second + third + fourth,
    )


def _clean(attributes: Attributes, keep: tuple[str, ...]) -> tuple[Attributes, int]:
    if not len(attributes):
        return attributes, 0
    texts = (attributes.kind == Kind.STRING) | (attributes.kind == Kind.JSON)
    if not texts.any():
        return attributes, 0
    verdicts = np.array([_verdict(key, keep) for key in attributes.keys], dtype=np.int8)[attributes.key]
    bad = texts & (verdicts == _NEVER)
    doubtful = texts & (verdicts == _IDENTIFIER)
    if doubtful.any():
        bad |= doubtful & np.asarray(pc.fill_null(_sentences(attributes.text), False))  # noqa: FBT003
    if not bad.any():
        return attributes, 0
    return attributes.withheld(bad), int(bad[attributes.value].sum())


_NEVER, _IDENTIFIER, _ALWAYS = range(3)


@lru_cache(maxsize=8192)
def _verdict(key: str, keep: tuple[str, ...]) -> int:
    """What may stay under a key: nothing, an identifier, or any text."""
    if any(fnmatchcase(key, pattern) for pattern in keep):
        return _ALWAYS
    if key in _CONTENT:
        return _NEVER
    known = key in _OURS or any(fnmatchcase(key, pattern) for pattern in SAFE)
    return _IDENTIFIER if known else _NEVER


def _sentence_rows(column: pa.StringArray) -> pa.BooleanArray:
    """Which rows hold no identifier; each distinct value is looked at once."""
    encoded = column.dictionary_encode()
    distinct = _sentences(encoded.dictionary)
    if not distinct.true_count:
        return pa.array(np.zeros(len(column), dtype=bool))
    return pc.fill_null(distinct.take(encoded.indices), False)  # noqa: FBT003


def _sentences(texts: pa.StringArray) -> pa.BooleanArray:
    """Which texts are no identifiers."""
    long = pc.greater(pc.utf8_length(texts), _LONGEST)
    return pc.fill_null(pc.or_(long, pc.match_substring_regex(texts, _WORDY)), False)  # noqa: FBT003
