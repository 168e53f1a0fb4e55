"""Reads each span with its dialect: names become a component, attributes become columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot import semconv
from otel_voicebot.dialects import DIALECTS, Dialect, Field
from otel_voicebot.giving_way import breathe
from otel_voicebot.processors import derive
from otel_voicebot.processors.drift import drift
from otel_voicebot.processors.identifiers import are_identifiers
from otel_voicebot.processors.lookup import Keyed, in_events, numbers_of, texts_of
from otel_voicebot.processors.names import shown_texts
from otel_voicebot.processors.plans import STAMPED, asked_by, plan_of
from otel_voicebot.processors.promote import Promoter
from otel_voicebot.processors.ranges import RANGES, note, rule_of, with_rules, within
from otel_voicebot.processors.recognise import Recognised, recognise
from otel_voicebot.processors.speech import speech_columns
from otel_voicebot.spans.attributes import Int32s, Kind, Mask
from otel_voicebot.spans.batch import SpanBatch
from otel_voicebot.spans.logs import LogBatch

__all__ = ["normalise", "of_resource"]

_RESOURCE: Final = {
    "service_name": (semconv.SERVICE_NAME,),
    "service_instance": (semconv.SERVICE_INSTANCE_ID,),
    "environment": (semconv.ENVIRONMENT, "deployment.environment"),
}


def normalise(batch: SpanBatch, dialects: Sequence[Dialect] = DIALECTS) -> SpanBatch:
    """The batch with dialect, component and what the dialect derives; ``unmapped`` counts the other spans by scope.

    An attribute that a column holds leaves the map; one whose value does not fit its column stays there: a value of
    another type, an empty text, a sentence where an identifier belongs, a number out of range (`quality` names it).
    """
    seen = recognise(batch, dialects)
    keyed = Keyed(batch.attributes, seen.dialect, len(dialects))
    promoter = Promoter(batch.attributes, len(batch), keyed, asked_by(tuple(dialects)))
    derive.offer(promoter, keyed, seen)
    promoter.promote(STAMPED, None)
    for number, one in enumerate(dialects):
        if seen.present[number]:
            promoter.promote(plan_of(one), number, _Asked(seen, one.unknown))
    breathe()
    columns: dict[str, pa.Array] = promoter.columns()
    breathe()
    names = pa.array([one.name for one in dialects], pa.string())
    columns["dialect"] = names.take(pa.array(seen.dialect, mask=seen.dialect < 0))
    columns["component"] = pa.array(semconv.COMPONENTS, pa.string()).take(pa.array(seen.component))
    columns |= of_resource(batch)
    columns["endpointing_setting_s"] = _endpointing(batch, columns["endpointing_setting_s"])
    columns |= _of_feedback(batch, columns, promoter.broken)
    columns["error_type"] = _error_type(batch, columns["error_type"], seen.sound)
    breathe()
    columns |= speech_columns(batch, seen)
    columns["tracked_events"] = _tracked(batch)
    breathe()
    columns |= _of_frameworks(batch, keyed, columns, seen, promoter.broken)
    if promoter.broken:
        columns["quality"] = with_rules(batch.column("quality"), promoter.broken)
    return batch.with_columns(
        columns, attributes=promoter.rest(), unmapped=_unmapped(batch, seen.dialect), drift=drift(keyed, seen)
    )


@dataclass(frozen=True)
class _Asked:
    """What a dialect says of the rows of its fields."""

    seen: Recognised
    unknown: tuple[str, ...]

    def counts(self, field: Field, rows: Int32s) -> Mask:
        named = self.seen.named(field.spans, rows) if field.spans else np.ones(len(rows), dtype=bool)
        return named if field.failed else named & self.seen.sound[rows]

    def failed(self, field: Field, rows: Int32s) -> Mask:
        named = self.seen.named(field.spans, rows) if field.spans else np.ones(len(rows), dtype=bool)
        return named & ~self.seen.sound[rows]


def _of_frameworks(
    batch: SpanBatch, keyed: Keyed, columns: Mapping[str, pa.Array], seen: Recognised, broken: dict[str, Mask]
) -> dict[str, pa.Array]:
    """What no attribute of a span says by itself; ``broken`` is given the rows whose first chunk is out of range."""
    found: dict[str, pa.Array] = derive.counted_words(columns)
    found["time_to_first_chunk_s"] = derive.first_chunks(batch, seen, columns["time_to_first_chunk_s"], broken)
    after = derive.after_tool(keyed, seen, seen.component == semconv.COMPONENTS.index("llm"))
    if after is not None:
        found["after_tool"] = after
    versions = _versions(batch, seen)
    if versions.null_count < len(versions):
        found["framework_version"] = versions
    return found


def _versions(batch: SpanBatch, seen: Recognised) -> pa.StringArray:
    """The version of a span's framework: its resource's, else that of the scope by which it is known."""
    stated = texts_of(batch.resources, semconv.FRAMEWORK_VERSION, batch.resource_count())
    scopes = batch.column("scope_version")
    if stated.null_count == len(stated) and scopes.null_count == len(scopes):
        return pa.nulls(len(batch), pa.string())
    # each distinct text is judged once, and each row's is taken once
    distinct = scopes.dictionary_encode()
    texts = pa.concat_arrays([stated, distinct.dictionary])
    of_scope = np.asarray(pc.fill_null(distinct.indices, -1)) + len(stated)
    place = np.where(seen.by_scope & (of_scope >= len(stated)), of_scope, -1)
    place = np.where((seen.dialect >= 0) & np.asarray(stated.is_valid())[batch.resource], batch.resource, place)
    return texts.take(pa.array(place, mask=(place < 0) | ~are_identifiers(texts)[place]))


def of_resource(batch: SpanBatch | LogBatch) -> dict[str, pa.Array]:
    """The columns that the resource's attributes fill."""
    owners = batch.resource_count()
    columns = {}
    for column, keys in _RESOURCE.items():
        texts = texts_of(batch.resources, keys[0], owners)
        for key in keys[1:]:
            texts = pc.coalesce(texts, texts_of(batch.resources, key, owners))
        columns[column] = texts.take(pa.array(batch.resource))
    return columns


def _endpointing(batch: SpanBatch, stated: pa.Array) -> pa.Array:
    """The bot's setting, in seconds, where a span has none: its resource's, as a number or written as a text."""
    if semconv.ENDPOINTING_DELAY not in batch.resources.keys:
        return stated
    numbers = numbers_of(batch.resources, semconv.ENDPOINTING_DELAY, batch.resource_count())
    known = within(numbers, RANGES["endpointing_setting_s"])
    return pc.coalesce(stated, pa.array(numbers, mask=~known).take(pa.array(batch.resource)))


def _tracked(batch: SpanBatch) -> pa.Array:
    """How many tracked events each span has: a report looks into the events of those only."""
    named = pc.fill_null(pc.starts_with(batch.events.columns["name"], semconv.EVENT_PREFIX), False)  # noqa: FBT003
    counts = np.bincount(batch.events.row[np.asarray(named)], minlength=len(batch)).astype(np.int32)
    return pa.array(counts, mask=counts == 0)


def _of_feedback(batch: SpanBatch, columns: Mapping[str, pa.Array], broken: dict[str, Mask]) -> dict[str, pa.Array]:
    """Survey answers that stand on an event, where the span itself has none; the last in range counts.

    ``broken`` is given the rows with an answer that is out of range.
    """
    found = {}
    for column, key in (("csat", semconv.CSAT), ("nps", semconv.NPS)):
        rows, values = in_events(batch, semconv.FEEDBACK, key, Kind.INT)
        given = batch.events.attributes.integer[values]
        good = within(given, RANGES[column])
        note(broken, rule_of(column), rows[~good], len(batch))
        rows, given = rows[good], given[good]
        if len(rows):
            answers = np.zeros(len(batch), np.int64)
            answers[rows] = given
            missing = np.ones(len(batch), dtype=bool)
            missing[rows] = False
            found[column] = pc.coalesce(columns[column], pa.array(answers, mask=missing))
    return found


def _error_type(batch: SpanBatch, stated: pa.Array, sound: Mask) -> pa.Array:
    """`error.type`, else the last exception's type, else `_OTHER`; null where nothing failed."""
    silent = np.flatnonzero(~sound & np.asarray(stated.is_null()))
    if not len(silent):
        return stated
    rows, values = in_events(batch, semconv.EXCEPTION, semconv.EXCEPTION_TYPE, Kind.STRING)
    position = np.full(len(batch), -1, np.int64)
    position[rows] = values
    position = position[silent]
    types = batch.events.attributes.text.take(pa.array(position, mask=position < 0))
    raised = pc.if_else(pa.array(are_identifiers(types)), types, "_OTHER")
    place = np.arange(len(batch))
    place[silent] = len(batch) + np.arange(len(silent))
    return pa.concat_arrays([stated, raised]).take(pa.array(place))


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
