"""Late facts of sessions (a survey, a callback, a correction): checked, and as the span that records them.

A fact has `session_id` and at least one of `csat` (1 to 5), `nps` (0 to 10), `outcome` (a correction), `callback`
(yes, no: the caller came back for the same thing by a way that has no spans); `time` says when it became known, else it
is now. The later fact of a session counts. The same fact said again is the same span, and counts once.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_voicebot import semconv
from otel_voicebot.errors import NoDataError, TooSlowError, UnreadableDataError
from otel_voicebot.store.lookup import Lookup
from otel_voicebot.store.reader import Snapshot, reading

__all__ = [
    "FACTS",
    "FIELDS",
    "MOST_ID",
    "SCALES",
    "Cells",
    "Labels",
    "Outcome",
    "WrongFactError",
    "checked",
    "known",
    "request",
]

FACTS: Final = ("csat", "nps", "outcome", "callback")
"""What a fact may tell; one of them it must."""
FIELDS: Final = ("session_id", "time", *FACTS)
SCALES: Final = {"csat": (semconv.CSAT, 1, 5), "nps": (semconv.NPS, 0, 10)}
"""Scores: their attribute, the least and the most."""
_YES_NO: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_WHOLE: Final = re.compile(r"\+?(\d{1,9})(?:\.0*)?", re.ASCII)
"""A whole number as tables write it, such as 5 or 5.0. Python would take 1_0 for ten."""
MOST_ID: Final = 512
"""Characters of a session id."""
_AHEAD: Final = timedelta(days=1)
"""So far may the sender's clock, or its time zone, be ahead of ours."""
_SHOWN: Final = 60
_MEMORY: Final = "300MB"

Cells = Mapping[str, object]
Labels = Mapping[str, str]
"""What a session's metrics are told apart by: its bot and variant, under the names of their attributes."""


class WrongFactError(Exception):
    """A fact can't be used.

    Attributes:
        fields: (field, what is wrong with it, its value, and what is allowed), one pair for each wrong field.
    """

    def __init__(self, fields: Collection[tuple[str, str]]) -> None:
        super().__init__("; ".join(text for _, text in fields))
        self.fields = tuple(fields)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One late fact of a session; None where it says nothing."""

    session_id: str
    time: datetime | None
    csat: int | None
    nps: int | None
    outcome: str | None
    callback: bool | None

    @property
    def key(self) -> bytes:
        """24 bytes that follow from what it says: the ids of its span, so that the same fact is the same span."""
        return hashlib.sha256(repr(self).encode()).digest()[:24]

    def span(self, now: datetime, labels: Labels) -> Span:
        """The fact as a span; ``now`` is its time where it has none, ``labels`` are of its session."""
        nano = int((self.time or now).timestamp() * 1_000_000) * 1000
        span = Span(
            trace_id=self.key[:16], span_id=self.key[16:], name=semconv.SPAN_FEEDBACK,
            start_time_unix_nano=nano, end_time_unix_nano=nano,
        )  # fmt: skip
        span.attributes.add(key=semconv.SESSION_ID).value.string_value = self.session_id
        for key, text in labels.items():
            span.attributes.add(key=key).value.string_value = text
        for name, (attribute, _, _) in SCALES.items():
            if (score := getattr(self, name)) is not None:
                span.attributes.add(key=attribute).value.int_value = score
        if self.outcome is not None:
            span.attributes.add(key=semconv.SESSION_OUTCOME).value.string_value = self.outcome
        if self.callback:
            span.events.add(name=semconv.EVENT_PREFIX + semconv.CALLBACK, time_unix_nano=nano)
        return span


def request(facts: Iterable[Outcome], sessions: Mapping[str, Labels], now: datetime) -> bytes:
    """The facts as one OTLP request of traces; ``sessions``: theirs, as ``known`` gives them."""
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add()
    spans.scope.name = semconv.SCOPE_NAME
    spans.spans.extend(one.span(now, sessions[one.session_id]) for one in facts)
    return message.SerializeToString()


def checked(cells: Cells, now: datetime) -> Outcome:
    """The fact that these fields tell; empty texts are no value.

    Raises:
        WrongFactError: fields are wrong; all of them are named.
    """
    told = {name: value.strip() if isinstance(value, str) else value for name, value in cells.items()}
    given = {name: value for name, value in told.items() if value is not None and value != ""}
    wrong: list[tuple[str, str]] = []

    def field(name: str, read: Callable[[object], object]) -> object:
        try:
            return None if name not in given else read(given[name])
        except ValueError as error:
            wrong.append((name, str(error)))
            return None

    session = field("session_id", _session)
    if "session_id" not in given:
        wrong.append(("session_id", "session_id is missing"))
    if not any(name in given for name in FACTS):
        wrong.append((FACTS[0], f"it tells nothing: {', '.join(FACTS)} are all empty"))
    read = {name: field(name, _READERS[name]) for name in FACTS}
    time = field("time", lambda value: _time(value, now))
    if wrong:
        raise WrongFactError(wrong)
    return Outcome(session_id=session, time=time, **read)  # type: ignore[arg-type]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _session(value: object) -> str:
    text = str(value)
    if len(text) > MOST_ID or isinstance(value, (dict, list, bool, float)) or not _encodable(text):
        raise ValueError(f"session_id {_shown(value)}: must be a text of at most {MOST_ID} characters")
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a pair
        return False
    return True


def _score(name: str, value: object) -> int:
    _, low, high = SCALES[name]
    found = None if isinstance(value, bool) else _WHOLE.fullmatch(str(value))
    if found is None or not low <= int(found[1]) <= high:
        raise ValueError(f"{name} {_shown(value)}: must be a whole number from {low} to {high}")
    return int(found[1])


def _outcome(value: object) -> str:
    if value not in semconv.OUTCOMES:
        raise ValueError(f"outcome {_shown(value)}: must be one of {', '.join(semconv.OUTCOMES)}")
    return str(value)


def _yes_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in _YES_NO:
        raise ValueError(f"callback {_shown(value)}: must be yes or no")
    return _YES_NO[str(value).lower()]


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "csat": lambda value: _score("csat", value),
    "nps": lambda value: _score("nps", value),
    "outcome": _outcome,
    "callback": _yes_no,
}


def _time(value: object, now: datetime) -> datetime:
    try:
        if isinstance(value, date):
            when = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
        else:
            when = datetime.fromisoformat(value if isinstance(value, str) else "")  # a number is no time
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        past = when >= _EPOCH
        future = when > now + _AHEAD
    except (ValueError, OverflowError):
        raise ValueError(f"time {_shown(value)}: must be ISO 8601, such as 2026-03-01T09:30:00+01:00") from None
    if not past or future:
        raise ValueError(f"time {_shown(value)}: must be from 1970 on, and not in the future")
    # one form for each moment: a fact's id follows from it, whatever the offset or the table that it came in
    return datetime.fromisoformat(when.astimezone(UTC).isoformat(timespec="microseconds"))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def known(
    data: Path, sessions: Collection[str], lookup: Lookup | None = None, give_up_s: float | None = None
) -> dict[str, Labels]:
    """Those of these sessions that have spans in the data directory, also calls that are still open; with their labels.

    Args:
        data: the data directory.
        sessions: session ids; of calls without one their trace id.
        lookup: knows what files hold; one that was used before need not look into them again.
        give_up_s: seconds that it may take; None: as many as it takes, also to find out which files are damaged.

    Raises:
        UnreadableDataError: files can't be read.
        TooSlowError: it took longer.
    """

    def look(source: Snapshot) -> dict[str, Labels]:
        text = source.sql(("session_id", "trace_id", "bot", "variant"))
        listed = pa.table({"name": pa.array(sorted(sessions), pa.string())})
        with duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": "", "threads": 1}) as connection:
            connection.execute("SET enable_progress_bar = false")  # it would go to stdout
            connection.register("listed", listed)
            timer = threading.Timer(give_up_s or 0.0, connection.interrupt)
            timer.daemon = True
            if give_up_s is not None:
                timer.start()
            try:
                found = connection.execute(
                    # names of columns and paths are ours, names of sessions are in the table
                    f"""WITH s AS ({text})
                    SELECT name, max(bot), max(variant) FROM (
                        SELECT l.name, s.bot, s.variant FROM listed l JOIN s ON s.session_id = l.name
                        UNION ALL SELECT l.name, s.bot, s.variant FROM listed l JOIN s ON s.trace_id = l.name
                    ) GROUP BY name"""  # noqa: S608
                )
                return {
                    name: {key: text for key, text in ((semconv.BOT, bot), (semconv.VARIANT, variant)) if text}
                    for name, bot, variant in found.fetchall()
                }
            except duckdb.InterruptException as error:
                raise TooSlowError(f"finding out which sessions there are takes longer than {give_up_s:g} s") from error
            except duckdb.Error as error:
                raise UnreadableDataError(
                    f"reading spans in {data} failed: {str(error).partition(chr(10))[0]}"
                ) from error
            finally:
                timer.cancel()

    choice = (lookup or Lookup()).holding(sessions)
    try:
        return reading(data, look, choice=choice, thorough=give_up_s is None)
    except NoDataError:
        return {}
