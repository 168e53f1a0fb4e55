"""Values that no attribute holds as its column wants them: in other units, inside JSON, spread over a list's keys.

Each distinct text is read once. What is made here is offered to the promoter beside the attributes; these stay.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.dialects import Field
from otel_voicebot.processors.lookup import entries_of
from otel_voicebot.processors.parse import ends_with_tool, reader, words_in
from otel_voicebot.processors.promote import Promoter
from otel_voicebot.processors.recognise import Recognised
from otel_voicebot.spans.attributes import Attributes, Indices, Int32s, Kind, Mask
from otel_voicebot.spans.batch import SpanBatch

__all__ = ["after_tool", "counted_words", "first_chunks", "offer"]

_TOOLS = ("tool", "function")


def offer(promoter: Promoter, batch: SpanBatch, seen: Recognised) -> None:
    """Give the promoter the derived values of all fields that need one."""
    for number, dialect in enumerate(seen.dialects):
        mine = seen.of(number)
        if mine is not None and not mine.any():
            continue
        for column, field in dialect.fields():
            if field.is_plain or promoter.offered(field.name):
                continue
            if "*" in field.key:
                rows, texts = _in_lists(batch.attributes, field, mine)
                if len(rows):
                    promoter.offer(field.name, rows, texts)
                continue
            place = promoter.entries(field.key)
            if place is not None:
                before = [one.key for name, one in dialect.fields() if name == column]
                _offer_read(promoter, field, _wanted(promoter, before, field, mine, seen))


def _wanted(
    promoter: Promoter, before: Sequence[str], field: Field, mine: Mask | None, seen: Recognised
) -> Mask | None:
    """The spans of which the field is asked: of the right name, and without an attribute that comes before it."""
    wanted = None if mine is None else mine.copy()
    if field.spans:
        named = seen.named(field.spans)
        wanted = named.copy() if wanted is None else wanted & named
    if not field.inside:
        return wanted
    for key in before:
        if key == field.key:
            break
        place = promoter.entries(key)
        if place is not None:
            wanted = np.ones(len(seen.dialect), dtype=bool) if wanted is None else wanted
            wanted[place[0]] = False
    return wanted


def _offer_read(promoter: Promoter, field: Field, wanted: Mask | None) -> None:
    found = promoter.entries(field.key)
    if found is None:
        return
    rows, values = found
    if wanted is not None:
        keep = wanted[rows]
        rows, values = rows[keep], values[keep]
    if not len(rows):
        return
    if field.scale != 1.0:
        numbers = promoter.numbers(values) * field.scale
        known = np.isfinite(numbers)
        promoter.offer(field.name, rows[known], pa.array(numbers[known]))
        return
    distinct, place = np.unique(values, return_inverse=True)
    made = [None if text is None else reader(field)(text) for text in promoter.texts(distinct)]
    _offer_made(promoter, field.name, rows, made, place)


def _offer_made(promoter: Promoter, name: str, rows: Int32s, made: list[object], place: Indices) -> None:
    """Offer what was read of each distinct text: all of it numbers, booleans or texts, whatever came first."""
    kinds = {bool: pa.bool_(), str: pa.string(), float: pa.float64()}
    made = [_number(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in made]
    kind = next((type(one) for one in made if one is not None), None)
    if kind is None:
        return
    values = pa.array([one if isinstance(one, kind) else None for one in made], kinds[kind])
    taken = values.take(pa.array(place))
    valid = np.asarray(taken.is_valid())
    promoter.offer(name, rows[valid], taken.filter(pa.array(valid)))


def _number(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


@lru_cache(maxsize=256)
def _numbered(key: str) -> re.Pattern[str]:
    before, _, behind = key.partition("*")
    return re.compile(re.escape(before) + r"(\d{1,9})" + re.escape(behind))


def _list_of(attributes: Attributes, key: str, mine: Mask | None) -> tuple[Indices, Int32s]:
    """The entries of a flattened list that are texts, and each one's number in the list."""
    numbers = np.full(len(attributes.keys) + 1, -1, np.int64)
    for code, name in enumerate(attributes.keys):
        found = _numbered(key).fullmatch(name)
        if found:
            numbers[code] = int(found[1])
    if (numbers < 0).all():
        return np.zeros(0, np.intp), np.zeros(0, np.int32)
    of_value = np.where(attributes.kind == Kind.STRING, numbers[attributes.key], -1)
    of_entry = of_value[attributes.value]
    chosen = of_entry >= 0
    if mine is not None:
        chosen &= mine[attributes.row]
    entries = np.flatnonzero(chosen)
    return entries, of_entry[entries].astype(np.int32)


def _last_of_rows(rows: Int32s, numbers: Int32s) -> Indices:
    """Of each row the position of its highest number."""
    order = np.lexsort((numbers, rows))
    last = np.ones(len(order), dtype=bool)
    last[:-1] = rows[order][1:] != rows[order][:-1]
    return order[last]


def _in_lists(attributes: Attributes, field: Field, mine: Mask | None) -> tuple[Int32s, pa.StringArray]:
    """Per span the text of the last message with the field's role."""
    empty = np.zeros(0, np.int32), pa.array([], pa.string())
    entries, numbers = _list_of(attributes, field.key, mine)
    roles, at = _list_of(attributes, field.key.rpartition(".")[0] + ".role", mine)
    if not len(entries) or not len(roles):
        return empty
    right = np.asarray(pc.equal(attributes.text.take(pa.array(attributes.value[roles])), field.role))
    wide = np.int64(10**9)
    with_role = attributes.row[roles][right] * wide + at[right]
    keep = np.isin(attributes.row[entries] * wide + numbers, with_role)
    entries, numbers = entries[keep], numbers[keep]
    if not len(entries):
        return empty
    last = entries[_last_of_rows(attributes.row[entries], numbers)]
    return attributes.row[last], attributes.text.take(pa.array(attributes.value[last]))


def after_tool(batch: SpanBatch, seen: Recognised, calls: Mask) -> pa.BooleanArray | None:
    """Of each model call whether a tool's result was the last message of its input; None where nobody tells."""
    told = np.full(len(batch), -1, np.int8)
    for number, dialect in enumerate(seen.dialects):
        mine = (seen.dialect == number) & calls
        if not dialect.inputs or not mine.any():
            continue
        for key in dialect.inputs:
            _tell(batch.attributes, key, mine & (told < 0), told)
    if (told < 0).all():
        return None
    return pa.array(told == 1, mask=told < 0)


def _tell(attributes: Attributes, key: str, wanted: Mask, told: np.ndarray) -> None:
    says: Callable[[str], bool | None]
    if "*" in key:
        entries, numbers = _list_of(attributes, key, wanted)
        entries = entries[_last_of_rows(attributes.row[entries], numbers)] if len(entries) else entries
        says = _is_tool
    else:
        entries = entries_of(attributes, key, Kind.STRING)
        entries = entries[wanted[attributes.row[entries]]]
        says = ends_with_tool
    distinct, place = np.unique(attributes.value[entries], return_inverse=True)
    said = [says(text) for text in attributes.text.take(pa.array(distinct)).to_pylist()]
    codes = np.array([-1 if one is None else int(one) for one in said], np.int8)
    told[attributes.row[entries]] = codes[place]


def _is_tool(role: str) -> bool:
    return role in _TOOLS


def first_chunks(batch: SpanBatch, seen: Recognised, stated: pa.Array | None) -> pa.Array | None:
    """Start to first chunk in seconds, from events of dialects that write one, where no attribute says it."""
    names = {name: number for number, one in enumerate(seen.dialects) for name in one.first_chunks}
    if not names or not len(batch.events):
        return stated
    named = np.asarray(pc.fill_null(pc.is_in(batch.events.columns["name"], pa.array(list(names))), False))  # noqa: FBT003
    stamps = np.asarray(pc.fill_null(batch.events.columns["unix_nano"], 0))
    telling = np.array([bool(one.first_chunks) for one in seen.dialects] + [False])[seen.dialect]
    chosen = np.flatnonzero(named & (stamps > 0) & telling[batch.events.row])
    if not len(chosen):
        return stated
    first = np.full(len(batch), np.iinfo(np.int64).max, np.int64)
    np.minimum.at(first, batch.events.row[chosen], stamps[chosen])
    start = np.asarray(batch.column("start_unix_nano"))
    missing = (first == np.iinfo(np.int64).max) | (first < start)
    found = pa.array(np.where(missing, 0, first - start) / 1e9, mask=missing)
    return found if stated is None else pc.coalesce(stated, found)


def counted_words(columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The numbers of words of what was said, where the framework doesn't count them itself."""
    found = {}
    for texts, words in (("user_text", "user_words"), ("bot_text", "bot_words")):
        column = columns.get(texts)
        if column is None or column.null_count == len(column):
            continue
        distinct = column.dictionary_encode()
        counts = pa.array([words_in(text) for text in distinct.dictionary.to_pylist()], pa.int64())
        counted = counts.take(distinct.indices)
        stated = columns.get(words)
        found[words] = counted if stated is None else pc.coalesce(stated, counted)
    return found
