"""``LogBatch``: log records as columns, the one form in which they go from stage to stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.spans.assemble import UInt64s, Values, ids_of, nanos, null_if_empty
from otel_voicebot.spans.attributes import Attributes, Int32s, Kind
from otel_voicebot.spans.columns import Columns
from otel_voicebot.spans.rows import strings_map, typed_map
from otel_voicebot.spans.schema import LOGS, SCHEMA_VERSION
from otel_voicebot.spans.values import json_objects, json_text

__all__ = ["LogBatch", "PlainLogs", "assemble_logs"]

_SEVERITIES: Final = 24
_TIME: Final = LOGS.field("time").type


@dataclass(frozen=True, slots=True)
class PlainLogs:
    """Log records as a door read them: one entry per record, with OTLP's numbers and defaults for what is missing.

    Attributes:
        trace_id: bytes of any length, as is ``span_id``.
        body: index into ``bodies``, per record.
        bodies: values; their keys mean nothing.
        scope: index into ``scope_names`` and ``scope_versions``.
    """

    trace_id: pa.BinaryArray
    span_id: pa.BinaryArray
    time: UInt64s
    observed: UInt64s
    severity: Int32s
    severity_text: pa.StringArray
    event_name: pa.StringArray
    body: Int32s
    bodies: Values
    scope: Int32s
    scope_names: pa.StringArray
    scope_versions: pa.StringArray
    resource: Int32s
    resources: Attributes
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class LogBatch(Columns):
    """Log records as columns of the ``LOGS`` schema.

    Every record can be kept: one without a trace, a time or a severity is a record all the same.

    Attributes:
        withheld: texts that were taken out.
        rejected: records that could not be kept, by reason; as a span batch has it, and empty.
    """

    SCHEMA = LOGS

    withheld: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)

    def rows(self, ingest_time: int) -> pa.RecordBatch:
        """The batch as rows of the ``LOGS`` schema; ``ingest_time`` is in microseconds since 1970."""
        came_in = pa.array(np.full(len(self), ingest_time, dtype=np.int64)).cast(_TIME)
        known = pc.coalesce(self.column("time_unix_nano"), self.column("observed_unix_nano"))
        made = {
            "time": pc.coalesce(pc.divide(known, 1000).cast(_TIME), came_in),
            "attributes": strings_map(self.attributes, len(self)),
            "attributes_typed": typed_map(self.attributes, len(self)),
            "resource_attributes": json_objects(self.resources, self.resource_count()).take(pa.array(self.resource)),
            "ingest_time": came_in,
            "schema_version": pa.array(np.full(len(self), SCHEMA_VERSION, dtype=np.int16)),
        }
        columns = [made[field.name] if field.name in made else self.column(field.name) for field in LOGS]
        return pa.RecordBatch.from_arrays(columns, schema=LOGS)


def assemble_logs(plain: PlainLogs) -> LogBatch:
    """The batch of the records. An id that is no id, and a number that is no severity, are null."""
    body = _texts(plain.bodies).take(pa.array(plain.body))
    severity = plain.severity
    columns = {
        "trace_id": ids_of(plain.trace_id, 16)[0],
        "span_id": ids_of(plain.span_id, 8)[0],
        "time_unix_nano": nanos(plain.time),
        "observed_unix_nano": nanos(plain.observed),
        "severity_number": pa.array(severity, mask=(severity < 1) | (severity > _SEVERITIES)),
        "severity_text": null_if_empty(plain.severity_text),
        "event_name": null_if_empty(plain.event_name),
        "body": body,
        "body_characters": pc.utf8_length(body).cast(pa.int64()),
        "scope_name": null_if_empty(plain.scope_names).take(pa.array(plain.scope)),
        "scope_version": null_if_empty(plain.scope_versions).take(pa.array(plain.scope)),
    }
    return LogBatch(len(severity), columns, plain.attributes, plain.resource, plain.resources)


def _texts(values: Values) -> pa.StringArray:
    """Each value as text: a string as it is, null where there is none, else JSON."""
    count = len(values.kind)
    one_each: npt.NDArray[np.int32] = np.arange(count, dtype=np.int32)
    entries = Attributes(
        row=one_each,
        value=one_each,
        key=np.zeros(count, dtype=np.int32),
        keys=("",),
        kind=values.kind,
        text=values.text,
        integer=values.integer,
        double=values.double,
    )
    others = pa.array((values.kind != Kind.STRING) & (values.kind != Kind.EMPTY))
    return pc.if_else(others, json_text(entries), values.text)
