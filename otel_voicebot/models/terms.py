"""What KPIs depend on beside the spans of the window: the moment, the limits, the days before, prices, targets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

__all__ = [
    "BEFORE_COLUMNS",
    "GIVEN",
    "SHORT_SESSION_S",
    "WIDE_COLUMNS",
    "Past",
    "Source",
    "Terms",
    "define",
    "ended_by",
]

WIDE_COLUMNS: Final = (
    *("trace_id", "span_id", "session_id", "turn_index", "component", "attributes", "events", "tracked_events"),
    *("user_speech_start_unix_nano", "bot_speech_end_unix_nano"),
)
"""Columns of spans that only some reports read."""

BEFORE_COLUMNS: Final = (
    *("trace_id", "session_id", "component", "user_hash", "intent"),
    *("start_unix_nano", "end_unix_nano"),
)
"""Columns of the days before a window."""

GIVEN: Final = {
    "prices": """component VARCHAR, provider VARCHAR, model VARCHAR, since_time TIMESTAMPTZ, until_time TIMESTAMPTZ,
        from_tokens BIGINT, to_tokens BIGINT, input_usd DOUBLE, cached_usd DOUBLE, output_usd DOUBLE,
        request_usd DOUBLE, second_usd DOUBLE, character_usd DOUBLE, source VARCHAR""",
    "telephony_prices": "channel VARCHAR, minute_usd DOUBLE",
    "cache_targets": "cache VARCHAR, target DOUBLE",
    "targets": """position BIGINT, component VARCHAR, bot VARCHAR, operation VARCHAR, quantile VARCHAR,
        target_s DOUBLE, asked BOOLEAN""",
    "quotas": """position BIGINT, service VARCHAR, component VARCHAR, period VARCHAR, unit VARCHAR, allowed DOUBLE,
        warning_share DOUBLE, begin_time TIMESTAMPTZ, end_time TIMESTAMPTZ, at_time TIMESTAMPTZ, begin_us BIGINT,
        elapsed_us BIGINT, period_us BIGINT, whole BOOLEAN""",
}
"""Tables that an engine is given (``Engine.give``), with their columns; empty until then."""


SHORT_SESSION_S: Final = 5.0
"""A session abandoned before this many seconds is short, unless a setting says otherwise."""


class Source(Protocol):
    """Something that spans can be read from; the store's ``Snapshot`` is one."""

    def sql(self, columns: Sequence[str] | None = None, *, raw_ids: bool = False) -> str:
        """A DuckDB query that gives the spans with these columns; ids as bytes when ``raw_ids``."""
        ...


@dataclass(frozen=True, slots=True)
class Past:
    """The spans of a source that had ended by a moment: what a question as of that moment may know.

    By the clock of the span's sender, not by when it came in: so that an import of old calls can be asked, too, and
    that the answer is the same from whichever copy of the spans.
    """

    whole: Source
    as_of: datetime
    """Aware."""

    def sql(self, columns: Sequence[str] | None = None, *, raw_ids: bool = False) -> str:
        """As ``Source.sql``."""
        asked = None if columns is None else list(dict.fromkeys([*columns, "start_unix_nano", "end_unix_nano"]))
        quoted = "*" if columns is None else ", ".join(f'"{name}"' for name in columns)
        return f"SELECT {quoted} FROM ({self.whole.sql(asked, raw_ids=raw_ids)}) WHERE {ended_by(self.as_of)}"


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def ended_by(moment: datetime) -> str:
    """The condition that a span had ended by this (aware) moment; one without an end had begun."""
    last = (moment - _EPOCH) // timedelta(microseconds=1) * 1000 + 999  # the whole of its microsecond
    return f"coalesce(end_unix_nano, start_unix_nano) <= {last}"


@dataclass(frozen=True, slots=True)
class Terms:
    """What KPIs depend on beside the spans of the window."""

    as_of: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The moment (aware) that the answer is of: whether a repeat contact may still come is judged by it."""
    short_session_s: float = SHORT_SESSION_S
    """A session abandoned before this many seconds is short."""
    human_interaction_usd: float = 5.0
    """What it costs when a human takes the call."""
    idle_timeout_s: float = 600.0
    """A session that was silent so many seconds is over, whether or not it said so."""
    before: Source | None = None
    """Spans of the 31 days before the window: whether a call in it repeats one of those. None: there are none."""


def define(run: Callable[..., object], source: Source, terms: Terms) -> None:
    """Make what the models read beside ``spans``: variables, the view ``wide``, the days before, tables to fill."""
    run("SET VARIABLE as_of = ?::TIMESTAMPTZ", [terms.as_of])
    run("SET VARIABLE short_session_s = ?", [terms.short_session_s])
    run("SET VARIABLE human_interaction_usd = ?", [terms.human_interaction_usd])
    run("SET VARIABLE idle_timeout_s = ?", [terms.idle_timeout_s])
    run(f"CREATE VIEW wide AS {source.sql(WIDE_COLUMNS, raw_ids=True)}")
    nothing = " WHERE false" if terms.before is None else ""
    before = (terms.before or source).sql(BEFORE_COLUMNS, raw_ids=True)
    run(f"CREATE VIEW before AS SELECT * FROM ({before}){nothing}")
    for name, columns in GIVEN.items():
        run(f"CREATE TEMP TABLE {name} ({columns})")
