"""Reads each span with its dialect: names become a component, attributes become columns."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.dialects import DIALECTS, STAMPS, Dialect
from otel_voicebot.processors.identifiers import are_identifiers
from otel_voicebot.processors.names import shown_texts
from otel_voicebot.processors.promote import Promoter
from otel_voicebot.processors.ranges import RANGES, rule_of, with_rules, within
from otel_voicebot.processors.speech import speech_columns
from otel_voicebot.spans.attributes import Attributes, Indices, Int32s, Kind, Mask
from otel_voicebot.spans.batch import SpanBatch
from otel_voicebot.spans.logs import LogBatch

__all__ = ["normalise", "of_resource"]

_RESOURCE: Final = {
    "service_name": (semconv.SERVICE_NAME,),
    "service_instance": (semconv.SERVICE_INSTANCE_ID,),
    "environment": (semconv.ENVIRONMENT, "deployment.environment"),
}


def normalise(batch: SpanBatch) -> SpanBatch:
    """The batch with dialect, component and what the dialect derives; ``unmapped`` counts the other spans by scope.

    An attribute that a column holds leaves the map; one whose value does not fit its column stays there: a value of
    another type, an empty text, a sentence where an identifier belongs, a number out of range (`quality` names it).
    """
    dialect, component = _recognise(batch)
    promoter = Promoter(batch.attributes, len(batch))
    promoter.promote(STAMPS, None)
    for number, one in enumerate(DIALECTS):
        mine = dialect == number
        if mine.any():
            promoter.promote(one.columns, None if mine.all() else mine)
    columns: dict[str, pa.Array] = promoter.columns()
    names = pa.array([one.name for one in DIALECTS], pa.string())
    columns["dialect"] = names.take(pa.array(dialect, mask=dialect < 0))
    columns["component"] = pa.array(semconv.COMPONENTS, pa.string()).take(pa.array(component))
    columns |= of_resource(batch)
    columns |= _of_feedback(batch, columns, promoter.broken)
    columns["error_type"] = _error_type(batch, columns["error_type"])
    columns |= speech_columns(batch, component == semconv.COMPONENTS.index("turn"))
    if promoter.broken:
        columns["quality"] = with_rules(batch.column("quality"), promoter.broken)
    return batch.with_columns(columns, attributes=promoter.rest(), unmapped=_unmapped(batch, dialect))


def _recognise(batch: SpanBatch) -> tuple[Int32s, Int32s]:
    """Index of each span's dialect (-1: none) and of its component."""
    names = batch.column("name").dictionary_encode()
    scopes = batch.column("scope_name").dictionary_encode()
    dialect = np.full(len(batch), -1, np.int32)
    component = np.full(len(batch), semconv.COMPONENTS.index("other"), np.int32)
    for number, one in enumerate(DIALECTS):
        if (dialect >= 0).all():
            break
        mine = _per_value(scopes, partial(_matches, patterns=one.scopes))
        mine |= _per_value(names, partial(_matches, patterns=one.marking_names))
        for key in one.marking_keys:
            mine |= _having(batch.attributes, key, len(batch))
        mine &= dialect < 0
        if mine.any():
            dialect[mine] = number
            by_name = _components(names, partial(_by_name, dialect=one))
            by_operation = _components_by_operation(batch.attributes, one, len(batch))
            found = np.where(by_name >= 0, by_name, by_operation)
            component = np.where(mine & (found >= 0), found, component)
    return dialect, component


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in patterns)


def _by_name(name: str, dialect: Dialect) -> str | None:
    exact = dialect.span_names.get(name)
    if exact is not None:
        return exact
    prefixes = (key for key in dialect.span_names if key.endswith("*") and name.startswith(key[:-1]))
    longest = max(prefixes, key=len, default=None)
    return None if longest is None else dialect.span_names[longest]


def _per_value(column: pa.DictionaryArray, says: Callable[[str], bool]) -> Mask:
    values = np.array([says(value) for value in column.dictionary.to_pylist()] + [False], dtype=bool)
    mask: Mask = values[np.asarray(pc.fill_null(column.indices, len(values) - 1))]
    return mask


def _components(column: pa.DictionaryArray, says: Callable[[str], str | None]) -> Int32s:
    values = np.array([*(_number(says(value)) for value in column.dictionary.to_pylist()), -1], dtype=np.int32)
    components: Int32s = values[np.asarray(pc.fill_null(column.indices, len(values) - 1))]
    return components


def _components_by_operation(attributes: Attributes, dialect: Dialect, owners: int) -> Int32s:
    components = np.full(owners, -1, np.int32)
    entries = _entries(attributes, semconv.OPERATION_NAME, Kind.STRING)
    distinct, place = np.unique(attributes.value[entries], return_inverse=True)
    words = attributes.text.take(pa.array(distinct)).to_pylist()
    components[attributes.row[entries]] = np.array([_number(dialect.operations.get(word)) for word in words], np.int32)[
        place
    ]
    return components


def _number(component: str | None) -> int:
    return -1 if component is None else semconv.COMPONENTS.index(component)


def _entries(attributes: Attributes, key: str, kind: Kind) -> Indices:
    """Positions of the entries with this key and kind of value, ascending by owner."""
    if key not in attributes.keys:
        return np.zeros(0, np.intp)
    values = (attributes.key == list(attributes.keys).index(key)) & (attributes.kind == kind)
    return np.flatnonzero(values[attributes.value])


def _having(attributes: Attributes, key: str, owners: int) -> Mask:
    mask = np.zeros(owners, dtype=bool)
    mask[attributes.row[_entries(attributes, key, Kind.STRING)]] = True
    return mask


def _texts(attributes: Attributes, key: str, owners: int) -> pa.StringArray:
    """The text under a key, per owner; null where there is none."""
    entries = _entries(attributes, key, Kind.STRING)
    if not len(entries):
        return pa.nulls(owners, pa.string())
    position = np.full(owners, -1, np.int32)
    position[attributes.row[entries]] = attributes.value[entries]
    return attributes.text.take(pa.array(position, mask=position < 0))


def of_resource(batch: SpanBatch | LogBatch) -> dict[str, pa.Array]:
    """The columns that the resource's attributes fill."""
    owners = batch.resource_count()
    columns = {}
    for column, keys in _RESOURCE.items():
        texts = _texts(batch.resources, keys[0], owners)
        for key in keys[1:]:
            texts = pc.coalesce(texts, _texts(batch.resources, key, owners))
        columns[column] = texts.take(pa.array(batch.resource))
    return columns


def _of_events(batch: SpanBatch, event: str, key: str, kind: Kind) -> tuple[Indices, Indices]:
    """Each time an event of this name carries the key: the span's row, the value's index in the events' attributes."""
    named = np.asarray(pc.fill_null(pc.equal(batch.events.columns["name"], event), False))  # noqa: FBT003
    if not named.any():
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    entries = _entries(batch.events.attributes, key, kind)
    entries = entries[named[batch.events.attributes.row[entries]]]
    rows: Indices = batch.events.row[batch.events.attributes.row[entries]].astype(np.intp)
    return rows, batch.events.attributes.value[entries].astype(np.intp)


def _of_feedback(batch: SpanBatch, columns: Mapping[str, pa.Array], broken: dict[str, Mask]) -> dict[str, pa.Array]:
    """Survey answers that stand on an event, where the span itself has none; the last in range counts.

    ``broken`` is given the rows with an answer that is out of range.
    """
    found = {}
    for column, key in (("csat", semconv.CSAT), ("nps", semconv.NPS)):
        rows, values = _of_events(batch, semconv.FEEDBACK, key, Kind.INT)
        given = batch.events.attributes.integer[values]
        good = within(given, RANGES[column])
        if not good.all():
            broken.setdefault(rule_of(column), np.zeros(len(batch), dtype=bool))[rows[~good]] = True
            rows, given = rows[good], given[good]
        if len(rows):
            answers = np.zeros(len(batch), np.int64)
            answers[rows] = given
            missing = np.ones(len(batch), dtype=bool)
            missing[rows] = False
            found[column] = pc.coalesce(columns[column], pa.array(answers, mask=missing))
    return found


def _error_type(batch: SpanBatch, stated: pa.Array) -> pa.Array:
    """`error.type`, else the last exception's type, else `_OTHER`; null where nothing failed."""
    failed = pc.equal(batch.column("status"), "error")
    if not failed.true_count:
        return stated
    rows, values = _of_events(batch, semconv.EXCEPTION, semconv.EXCEPTION_TYPE, Kind.STRING)
    position = np.full(len(batch), -1, np.int64)
    position[rows] = values
    types = batch.events.attributes.text.take(pa.array(position, mask=position < 0))
    raised = pc.if_else(pa.array(are_identifiers(types)), types, pa.scalar(None, pa.string()))
    return pc.coalesce(stated, pc.if_else(failed, pc.coalesce(raised, "_OTHER"), pa.scalar(None, pa.string())))


def _unmapped(batch: SpanBatch, dialect: Int32s) -> dict[str, int]:
    """Spans without a dialect by scope; as a metric's label a scope is always shown as if texts were withheld."""
    lost = dialect < 0
    if not lost.any():
        return {}
    scopes = pc.fill_null(batch.column("scope_name").filter(pa.array(lost)), "").value_counts()
    counts: dict[str, int] = {}
    for scope, count in zip(
        shown_texts(scopes.field("values")).to_pylist(), scopes.field("counts").to_pylist(), strict=True
    ):
        counts[scope] = counts.get(scope, 0) + count
    return counts
