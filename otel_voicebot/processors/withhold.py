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
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.dialects import DIALECTS, STAMPS
from otel_voicebot.dialects.native import NATIVE
from otel_voicebot.giving_way import breathe
from otel_voicebot.processors.identifiers import NAME_COLUMNS, are_safe, are_safe_lists, are_safe_names, is_ascii
from otel_voicebot.processors.names import shown, shown_columns, shown_keys
from otel_voicebot.spans.attributes import Attributes, Kind, Mask
from otel_voicebot.spans.batch import SpanBatch
from otel_voicebot.spans.schema import SPANS

__all__ = ["SAFE", "clean", "clean_resources", "doubtful_columns", "with_texts", "withhold"]

SAFE: Final[dict[str, str]] = {
    "service.name": "names a deployment",
    "service.namespace": "names a deployment",
    "service.version": "names a deployment",
    "service.instance.id": "names a deployment",
    "telemetry.sdk.*": "names the SDK",
    "telemetry.distro.*": "names the SDK",
    "deployment.environment": "names a deployment",
    "deployment.environment.name": "names a deployment",
    "deployment.id": "names a deployment",
    "deployment.name": "names a deployment",
    "host.name": "names a machine",
    "host.id": "names a machine",
    "host.type": "names a machine",
    "host.arch": "names a machine",
    "os.name": "names a machine",
    "os.type": "names a machine",
    "os.version": "names a machine",
    "cloud.provider": "names a machine",
    "cloud.platform": "names a machine",
    "cloud.region": "names a machine",
    "cloud.availability_zone": "names a machine",
    "cloud.account.id": "names a machine",
    "cloud.resource_id": "names a machine",
    "container.id": "names a machine",
    "container.name": "names a machine",
    "container.image.*": "names a machine",
    "k8s.*.name": "names a machine",
    "k8s.*.uid": "names a machine",
    "faas.name": "names a function",
    "faas.version": "names a function",
    "faas.instance": "names a function",
    "faas.trigger": "a fixed set",
    "process.runtime.name": "names a runtime",
    "process.runtime.version": "names a runtime",
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
    "network.protocol.*": "names a protocol",
    "network.transport": "names a protocol",
    "network.type": "names a protocol",
    "net.protocol.*": "names a protocol",
    "net.transport": "names a protocol",
    "net.host.name": "names a service",
    "net.peer.name": "names a service",
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
    "otel.scope.*": "names a library",
    "otel.library.*": "names a library",
    "otel.status_code": "a fixed set",
}
"""Keys or globs whose texts are identifiers, and why; beside our own names that hold no content (``semconv``)."""

_CONTENT: Final = frozenset().union(
    *(dialect.content for dialect in DIALECTS),
    (name for name, attribute in semconv.ATTRIBUTES.items() if attribute.content),
)
_CONTENT_GLOBS: Final = tuple(sorted(key for key in _CONTENT if "*" in key))
_IDENTIFIERS: Final = frozenset[str]().union(*(dialect.identifiers for dialect in DIALECTS))
_OURS: Final = (frozenset(semconv.ATTRIBUTES) | _IDENTIFIERS) - _CONTENT
_GLOBS: Final = (*SAFE, *sorted(key for key in _IDENTIFIERS if "*" in key))
_KEYS: Final = {"user_text": semconv.USER_TEXT, "bot_text": semconv.BOT_TEXT}
"""Content columns, and the attribute under which the number of their characters stays."""
_NAMES: Final = frozenset(
    key
    for column in NAME_COLUMNS
    for one in (STAMPS, NATIVE.columns)
    for key in one.get(column, ())
    if isinstance(key, str)
)
"""Keys of names that a developer configures."""


_FROM_RESOURCE: Final = ("service_name", "service_instance", "environment", "framework_version")
_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    column: keys
    for columns in (*(one.columns for one in reversed(DIALECTS)), STAMPS)
    for column, fields in columns.items()
    if SPANS.field(column).type == pa.string() and column not in _KEYS
    for keys in [tuple(one if isinstance(one, str) else one.key for one in fields)]
}
"""Columns of identifiers and names, and the attributes that fill them; of several dialects the first one's."""


def withhold(batch: SpanBatch, keep: Sequence[str] = ()) -> SpanBatch:
    """The batch without texts that may carry what people said; ``withheld`` counts them.

    Args:
        batch: after ``normalise``.
        keep: names or globs of attributes that may stay, beside those that we know. Attributes known to be content
            don't: storing them is what content capture is for. What follows a ``!`` never stays.
    """
    kept = tuple(keep)
    columns, said, count = _content_columns(batch)
    columns |= doubtful_columns(batch.columns, kept, said)
    columns |= shown_columns(batch.columns)
    breathe()
    attributes, first = clean(with_texts(batch.attributes, said), kept)
    events, second = clean(batch.events.attributes, kept)
    links, third = clean(batch.links.attributes, kept)
    resources, fourth = clean_resources(batch.resources, kept)
    return batch.with_columns(
        columns,
        attributes=attributes,
        events=replace(batch.events, columns=shown(batch.events.columns, "name"), attributes=events),
        links=replace(batch.links, columns=shown(batch.links.columns, "trace_state"), attributes=links),
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


def doubtful_columns(
    stored: Mapping[str, pa.Array], keep: tuple[str, ...], said: dict[str, pa.StringArray]
) -> dict[str, pa.StringArray]:
    """The columns with a text that is no identifier, without it; ``said`` is given it under an attribute's key."""
    columns = {}
    for name in (*_COLUMNS, *_FROM_RESOURCE):
        column = stored.get(name)
        if column is None or column.null_count == len(column):
            continue
        keys = _COLUMNS.get(name, ())
        if any(_verdict(key, keep) == _ALWAYS for key in keys):
            continue
        named = name in NAME_COLUMNS or name in _FROM_RESOURCE
        # what promotion let through is an identifier unless it is of another script
        if keys and is_ascii(column):
            continue
        fits = np.asarray(column.is_null()) | (are_safe_names if named else are_safe)(column)
        if fits.all():
            continue
        columns[name] = pc.if_else(pa.array(fits), column, pa.scalar(None, pa.string()))
        if keys:
            said[keys[0]] = pc.if_else(pa.array(fits), pa.scalar(None, pa.string()), column)
    return columns


def with_texts(attributes: Attributes, said: Mapping[str, pa.StringArray]) -> Attributes:
    """The attributes and these texts, by key."""
    for key, column in said.items():
        attributes = attributes.with_texts(key, column)
    return attributes


def clean(attributes: Attributes, keep: tuple[str, ...], at_least: int = 0) -> tuple[Attributes, int]:
    """The attributes without unsafe texts, and how many those were; a safe key's texts are judged ``at_least`` so."""
    if not len(attributes):
        return attributes, 0
    bad = _bad(attributes, np.array([_verdict(key, keep) for key in attributes.keys], dtype=np.int8), at_least)
    keys = shown_keys(attributes.keys, lambda key: _verdict(key, keep) == _NEVER)
    if bad.any():
        attributes = attributes.withheld(bad)
    return replace(attributes, keys=keys), int(bad[attributes.value].sum())


def clean_resources(resources: Attributes, keep: tuple[str, ...]) -> tuple[Attributes, int]:
    """The same of a resource's attributes, whose texts may be names that a developer configured."""
    return clean(resources, keep, _NAME)


def _bad(attributes: Attributes, by_key: npt.NDArray[np.int8], at_least: int) -> Mask:
    """Which values are texts that may not stay."""
    texts = (attributes.kind == Kind.STRING) | (attributes.kind == Kind.JSON)
    texts &= np.asarray(pc.fill_null(pc.greater(pc.binary_length(attributes.text), 0), False))  # noqa: FBT003
    verdicts = np.where(by_key == _NEVER, _NEVER, np.maximum(by_key, at_least))[attributes.key]
    bad: Mask = texts & (verdicts == _NEVER)
    lists = texts & (attributes.kind == Kind.JSON) & (verdicts != _ALWAYS)
    for judged, fits in (
        (texts & ~lists & (verdicts == _IDENTIFIER), are_safe),
        (texts & ~lists & (verdicts == _NAME), are_safe_names),
        (lists & ~bad, are_safe_lists),
    ):
        found = np.flatnonzero(judged)
        if len(found):
            bad[found] = ~fits(attributes.text.take(pa.array(found)))
    return bad


_NEVER, _IDENTIFIER, _NAME, _ALWAYS = range(4)


@lru_cache(maxsize=8192)
def _verdict(key: str, keep: tuple[str, ...]) -> int:
    """What may stay under a key: nothing, an identifier, a name, or any text. Content never, whatever ``keep`` says."""
    if any(fnmatchcase(key, pattern[1:]) for pattern in keep if pattern.startswith("!")):
        return _NEVER
    if key in _CONTENT or any(fnmatchcase(key, pattern) for pattern in _CONTENT_GLOBS):
        return _NEVER
    if any(fnmatchcase(key, pattern) for pattern in keep):
        return _ALWAYS
    if key in _NAMES:
        return _NAME
    known = key in _OURS or any(fnmatchcase(key, pattern) for pattern in _GLOBS)
    return _IDENTIFIER if known else _NEVER
