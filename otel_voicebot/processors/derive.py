"""Values that no attribute holds as its column wants them: in other units, inside JSON, spread over a list's keys.

Each distinct text is read once. What is made here is offered to the promoter beside the attributes; these stay.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.processors.lookup import Keyed, distinct
from otel_voicebot.processors.parse import ends_with_tool, json_reader, load_json, read, words_in
from otel_voicebot.processors.plans import Source, derived_by
from otel_voicebot.processors.promote import Promoter
from otel_voicebot.processors.ranges import RANGES, note, rule_of, within
from otel_voicebot.processors.recognise import Recognised
from otel_voicebot.spans.attributes import Attributes, Indices, Int32s, Mask
from otel_voicebot.spans.batch import SpanBatch
from otel_voicebot.spans.schema import SPANS

__all__ = ["after_tool", "counted_words", "first_chunks", "offer"]

_TOOLS: Final = ("tool", "function")
_KINDS: Final = {pa.string(): str, pa.bool_(): bool}
"""Type of a column to that of a derived value; numbers are doubles."""
_TYPES: Final = {str: pa.string(), bool: pa.bool_(), float: pa.float64()}


def offer(promoter: Promoter, keyed: Keyed, seen: Recognised) -> None:
    """Give the promoter the derived values of all fields that need one; ``keyed`` has the dialects as groups."""
    for number, dialect in enumerate(seen.dialects):
        if not seen.present[number]:
            continue
        for key, sources in derived_by(dialect).items():
            if "*" in key:
                for source in sources:
                    _offer_listed(promoter, keyed, source, number)
            elif keyed.find(key, number) is not None:
                _offer_read(promoter, keyed, sources, number, seen)


def _wanted(keyed: Keyed, source: Source, number: int, seen: Recognised) -> Mask | None:
    """The spans of which the field is asked: of the right name, and without an attribute that comes before it."""
    field = source.field
    wanted = seen.named(field.spans) if field is not None and field.spans else None
    if field is None or not field.inside:
        return wanted
    for key in source.before:
        found = keyed.find(key, number) if key != field.key else None
        if found is not None:
            wanted = np.ones(len(seen.dialect), dtype=bool) if wanted is None else wanted.copy()
            wanted[found[0]] = False
    return wanted


def _offer_read(promoter: Promoter, keyed: Keyed, sources: Sequence[Source], number: int, seen: Recognised) -> None:
    """Offer what fields find in one attribute."""
    inside: list[tuple[Source, Int32s, Int32s]] = []
    for source in sources:
        field, found = source.field, keyed.find(source.key, number)
        if field is None or found is None:
            continue
        nests = bool(field.inside or field.role)
        scaled = field.scale != 1.0 and not (nests or field.text)
        any_kind = scaled or (field.text and not nests)
        rows, values = found if any_kind else keyed.texts(source.key, number, nested=True)
        wanted = _wanted(keyed, source, number, seen)
        if wanted is not None:
            keep = wanted[rows]
            rows, values = rows[keep], values[keep]
        if not len(rows):
            continue
        if scaled:
            numbers = keyed.numbers(values) * field.scale
            known = np.isfinite(numbers)
            promoter.offer(source.name, number, rows[known], pa.array(numbers[known]))
        elif nests:
            inside.append((source, rows, values))
        else:
            once, place = distinct(values)
            made = [read(field, value) for value in keyed.table.plain(once)]
            _offer_made(promoter, source, number, rows, made, place)
    if inside:
        _offer_parsed(promoter, keyed.table, inside, number)


def _offer_parsed(
    promoter: Promoter, table: Attributes, asked: Sequence[tuple[Source, Int32s, Int32s]], number: int
) -> None:
    """Offer what stands in JSON. Each text is parsed once for all fields: its objects, far larger, aren't kept."""
    once, place = distinct(np.concatenate([values for _, _, values in asked]))
    made: list[list[object]] = [[] for _ in asked]
    fields = [source.field for source, _, _ in asked]
    readers = [(into, json_reader(field)) for into, field in zip(made, fields, strict=True) if field is not None]
    for text in table.text.take(pa.array(once)).to_pylist():
        parsed = load_json(text)
        for into, reads in readers:
            into.append(reads(parsed))
    first = 0
    for (source, rows, _), own in zip(asked, made, strict=True):
        _offer_made(promoter, source, number, rows, own, place[first : first + len(rows)])
        first += len(rows)


def _offer_made(
    promoter: Promoter, source: Source, number: int, rows: Int32s, made: list[object], place: Int32s
) -> None:
    """Offer what was read of each distinct text and is of the column's kind: a text, a boolean or a number."""
    kind = _KINDS.get(SPANS.field(source.column).type, float)
    made = [_number(one) if type(one) is int else one for one in made]
    values = pa.array([one if type(one) is kind else None for one in made], _TYPES[kind])
    if kind is float and source.field is not None and source.field.scale != 1.0:
        values = pc.multiply(values, source.field.scale)
    taken = values.take(pa.array(place))
    if taken.null_count:
        valid = taken.is_valid()
        rows, taken = rows[np.asarray(valid)], taken.filter(valid)
    if len(rows):
        promoter.offer(source.name, number, rows, taken)


def _number(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


@lru_cache(maxsize=8192)
def _number_in(key: str, name: str) -> int | None:
    """The number that stands for ``*`` in an attribute's name; None where it is another attribute."""
    before, _, behind = key.partition("*")
    number = name[len(before) : len(name) - len(behind)]
    fits = name.startswith(before) and name.endswith(behind) and number.isascii() and number.isdecimal()
    return int(number) if fits and len(number) < 10 else None


def _list_of(keyed: Keyed, key: str, group: int, mine: Mask | None = None) -> tuple[Int32s, Int32s, Int32s]:
    """The entries of a flattened list that are texts: row, value, and the number in the list."""
    parts = []
    for name in keyed.table.keys:
        number = _number_in(key, name)
        if number is not None:
            rows, values = keyed.texts(name, group)
            if mine is not None:
                keep = mine[rows]
                rows, values = rows[keep], values[keep]
            parts.append((rows, values, np.full(len(rows), number, np.int32)))
    if not parts:
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32)
    rows, values, numbers = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, values, numbers


def _last_of_rows(rows: Int32s, numbers: Int32s) -> Indices:
    """Of each row the position of its highest number."""
    if not len(rows):
        return np.zeros(0, np.intp)
    order = np.lexsort((numbers, rows))
    last = np.ones(len(order), dtype=bool)
    last[:-1] = rows[order][1:] != rows[order][:-1]
    return order[last]


def _offer_listed(promoter: Promoter, keyed: Keyed, source: Source, number: int) -> None:
    """Offer per span the text of the last message with the field's role."""
    rows, values, numbers = _list_of(keyed, source.key, number)
    of, roles, at = _list_of(keyed, source.key.rpartition(".")[0] + ".role", number)
    if not len(rows) or not len(of):
        return
    role = source.field.role if source.field is not None else ""
    right = np.asarray(pc.equal(keyed.table.text.take(pa.array(roles)), role)).astype(bool)
    wide = np.int64(10**9)
    keep = np.isin(rows * wide + numbers, of[right] * wide + at[right])
    rows, values, numbers = rows[keep], values[keep], numbers[keep]
    last = _last_of_rows(rows, numbers)
    if len(last):
        promoter.offer(source.name, number, rows[last], keyed.table.text.take(pa.array(values[last])))


def after_tool(keyed: Keyed, seen: Recognised, calls: Mask) -> pa.BooleanArray | None:
    """Of each model call whether a tool's result was the last message of its input; None where nobody tells."""
    told = np.full(len(calls), -1, np.int8)
    for number, dialect in enumerate(seen.dialects):
        mine = (seen.dialect == number) & calls
        if not dialect.inputs or not mine.any():
            continue
        for key in dialect.inputs:
            _tell(keyed, key, number, mine & (told < 0), told)
    if (told < 0).all():
        return None
    return pa.array(told == 1, mask=told < 0)


def _tell(keyed: Keyed, key: str, group: int, wanted: Mask, told: npt.NDArray[np.int8]) -> None:
    says: Callable[[str], bool | None]
    if "*" in key:
        rows, values, numbers = _list_of(keyed, key, group, wanted)
        last = _last_of_rows(rows, numbers)
        rows, values = rows[last], values[last]
        says = _is_tool
    else:
        rows, values = keyed.texts(key, group, nested=True)
        keep = wanted[rows]
        rows, values = rows[keep], values[keep]
        says = ends_with_tool
    once, place = distinct(values)
    said = [says(text) for text in keyed.table.text.take(pa.array(once)).to_pylist()]
    codes = np.array([-1 if one is None else int(one) for one in said], np.int8)
    told[rows] = codes[place]


def _is_tool(role: str) -> bool:
    return role in _TOOLS


def first_chunks(batch: SpanBatch, seen: Recognised, stated: pa.Array, broken: dict[str, Mask]) -> pa.Array:
    """Start to first chunk in seconds, from events of dialects that write one, where no attribute says it.

    ``broken`` is given the rows on which it is out of range: the event lies before the span, or too long after.
    """
    telling = [number for number, one in enumerate(seen.dialects) if one.first_chunks and seen.present[number]]
    if not telling or not len(batch.events):
        return stated
    named = np.zeros(len(batch.events), dtype=bool)
    for number in telling:
        names = pa.array(seen.dialects[number].first_chunks, pa.string())
        found = np.asarray(pc.fill_null(pc.is_in(batch.events.columns["name"], names), False))  # noqa: FBT003
        named |= found & (seen.dialect[batch.events.row] == number)
    stamps = np.asarray(pc.fill_null(batch.events.columns["unix_nano"], 0))
    chosen = np.flatnonzero(named & (stamps > 0))
    if not len(chosen):
        return stated
    first = np.full(len(batch), np.iinfo(np.int64).max, np.int64)
    np.minimum.at(first, batch.events.row[chosen], stamps[chosen])
    asked = np.flatnonzero((first < np.iinfo(np.int64).max) & np.asarray(stated.is_null()))
    seconds = (first[asked] - np.asarray(batch.column("start_unix_nano"))[asked]) / 1e9
    good = within(seconds, RANGES["time_to_first_chunk_s"])
    note(broken, rule_of("time_to_first_chunk_s"), asked[~good], len(batch))
    chunks = np.full(len(batch), np.nan)
    chunks[asked[good]] = seconds[good]
    return pc.coalesce(stated, pa.array(chunks, mask=np.isnan(chunks)))


def counted_words(columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The numbers of words of what was said, where the framework doesn't count them itself."""
    found = {}
    for texts, words in (("user_text", "user_words"), ("bot_text", "bot_words")):
        column = columns.get(texts)
        if column is None or column.null_count == len(column):
            continue
        encoded = column.dictionary_encode()
        counts = pa.array([words_in(text) for text in encoded.dictionary.to_pylist()], pa.int64())
        counted = counts.take(encoded.indices)
        stated = columns.get(words)
        found[words] = counted if stated is None else pc.coalesce(stated, counted)
    return found
