"""Whether every span of the calls is there, and whether the clocks that wrote them agree."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from otel_voicebot.reports.source import Opened

__all__ = ["CLIENTS", "Clock", "Wholeness", "broken", "clocks", "texts", "under_way", "wholeness"]

CLIENTS: Final = ("genai", "openinference", "traceloop")
"""They instrument calls to providers, and know nothing of calls and turns."""
_IDLE_S: Final = 600
"""A call that was silent for so long, or whose own span came, is over."""
_SKEW_NS: Final = 100_000_000
"""Clocks of machines that are kept in step differ by less."""
_AHEAD_NS: Final = 1_000_000_000
"""A span can't end so long after it came in."""
_CHANCE: Final = 1e-6
"""How unlikely whole ids have to be in what they leave out, before we say that somebody chose."""
_FEWEST: Final = 20
"""Traces that it takes to see that."""


@dataclass(frozen=True, slots=True)
class Wholeness:
    """What shows that spans are missing. Counts are of calls that are over, of known frameworks.

    Attributes:
        sessions: calls that are over.
        rootless: of those, without the call's own span.
        gaps: calls whose turn numbers have holes or begin late.
        turns_missing: turns that these holes leave out.
        orphaned: calls with a span whose parent never came, beside the call's own.
        orphans: such spans.
        unended: calls with a span that has no end.
        unended_spans: such spans.
        unended_names: theirs, the most frequent first.
        bare: answered turns without any operation.
        answered: answered turns.
        thresholds: spans whose trace state says that they were sampled.
        share: about how many of all traces are there, where the ids of those that are show that others were left out.
        traces: traces.
    """

    sessions: int = 0
    rootless: int = 0
    gaps: int = 0
    turns_missing: int = 0
    orphaned: int = 0
    orphans: int = 0
    unended: int = 0
    unended_spans: int = 0
    unended_names: tuple[str, ...] = ()
    bare: int = 0
    answered: int = 0
    thresholds: int = 0
    share: float | None = None
    traces: int = 0


@dataclass(frozen=True, slots=True)
class Clock:
    """One service's clock beside another's.

    Attributes:
        service: whose.
        other: beside whose; empty: beside ours, by the time at which spans came in.
        seconds: at least so far apart; below 0 the service's clock is behind.
        spans: spans that show it.
    """

    service: str
    other: str
    seconds: float
    spans: int


def under_way(opened: Opened, where: str, now: datetime) -> bool:
    """Whether spans came in the ten minutes before; arguments as of ``wholeness``."""
    source = opened.snapshot.sql(["trace_id", "start_unix_nano", "end_unix_nano"], raw_ids=True)
    latest = f"SELECT max(coalesce(end_unix_nano, start_unix_nano)) AS latest FROM ({source}) WHERE true{where}"  # noqa: S608 - names of ours
    (row,) = opened.engine.sql(latest).to_pylist()
    return bool((row["latest"] or 0) > (now.timestamp() - _IDLE_S) * 1e9)


def wholeness(opened: Opened, where: str, now: datetime) -> Wholeness:
    """Look for spans that never came.

    Args:
        opened: the data.
        where: SQL condition over the stored spans, to be added; empty for all.
        now: a call that was silent for ten minutes by then is over.
    """
    late = int(now.timestamp() - _IDLE_S) * 1_000_000_000
    columns = ["trace_id", "span_id", "parent_span_id", "name", "dialect", "component", "turn_index"]
    source = opened.snapshot.sql([*columns, "start_unix_nano", "end_unix_nano", "trace_state"], raw_ids=True)
    chosen = f"SELECT * FROM ({source}) WHERE true{where}"  # noqa: S608 - names of ours
    row = opened.engine.sql(_WHOLE.format(source=chosen, clients=CLIENTS), [late]).to_pylist()[0]
    turns = opened.engine.sql(
        "SELECT count(*) AS answered, count(CASE WHEN operations = 0 THEN 1 END) AS bare FROM turns "
        "WHERE outcome = 'answered' AND dialect IN (SELECT dialect FROM turns WHERE operations > 0)"
    ).to_pylist()[0]
    ranges = [row.pop("from_below"), row.pop("from_above")]
    row["unended_names"] = tuple(row["unended_names"] or ())
    shares = [_share(row["traces"], **one) for one in ranges if row["traces"] >= _FEWEST]
    return Wholeness(**row, **turns, share=next((one for one in shares if one), None))


def _share(traces: int, top: float, middle: float) -> float | None:
    """The share of all ids that these take up, where it is too small to be chance and they fill their range evenly."""
    even = top > 0 and abs(middle / top - 0.5) < 4 / (12 * traces) ** 0.5
    return top if even and top**traces < _CHANCE else None


_WHOLE: Final = """
WITH source AS MATERIALIZED ({source}),
session_of AS (SELECT trace_id, min(session_id) AS session_id FROM steps GROUP BY trace_id),
stored AS MATERIALIZED (
    SELECT s.*, o.session_id FROM source s JOIN session_of o USING (trace_id) WHERE s.dialect IS NOT NULL
),
framed AS (
    SELECT DISTINCT session_id FROM stored
    WHERE component IN ('session', 'turn', 'stt', 'tts') AND dialect NOT IN {clients}
),
ended AS (
    SELECT session_id, bool_or(component = 'session') AS rooted
    FROM stored SEMI JOIN framed USING (session_id)
    GROUP BY session_id
    -- a call's own span that was sent while it was open says no end
    HAVING bool_or(component = 'session' AND end_unix_nano IS NOT NULL)
        OR max(coalesce(end_unix_nano, start_unix_nano)) < ?
),
numbered AS (
    SELECT session_id, max(turn_index) - count(DISTINCT turn_index) AS holes
    FROM stored SEMI JOIN ended USING (session_id)
    WHERE turn_index > 0
    GROUP BY session_id
    HAVING holes > 0
),
parents AS (SELECT DISTINCT trace_id, span_id FROM source),
orphaned AS (
    SELECT session_id, rooted, count(*) AS orphans, count(DISTINCT parent_span_id) AS missing
    FROM stored s JOIN ended USING (session_id)
    WHERE parent_span_id IS NOT NULL
        -- of spans around others only those count that hold an operation: what is around the call may be kept elsewhere
        AND (component NOT IN ('session', 'other') OR component = 'other' AND EXISTS (
            SELECT 1 FROM stored c
            WHERE c.parent_span_id = s.span_id AND c.trace_id = s.trace_id AND c.component NOT IN ('session', 'other')
        ))
        AND NOT EXISTS (SELECT 1 FROM parents p WHERE p.span_id = s.parent_span_id AND p.trace_id = s.trace_id)
    GROUP BY session_id, rooted
    -- where the call's own span never came its children have no parent: that is told by itself
    HAVING rooted OR missing > 1
),
unended AS (
    SELECT session_id, name, count(*) AS spans
    FROM stored SEMI JOIN ended USING (session_id)
    WHERE end_unix_nano IS NULL
    GROUP BY ALL
),
ids AS (
    SELECT DISTINCT trace_id, ('0x' || right(hex(trace_id), 14))::UBIGINT / 72057594037927936.0 AS low56,
        ('0x' || right(hex(trace_id), 16))::UBIGINT / 18446744073709551616.0 AS low64
    FROM stored SEMI JOIN ended USING (session_id)
)
SELECT
    (SELECT count(*) FROM ended) AS sessions,
    (SELECT count(*) FROM ended WHERE NOT rooted) AS rootless,
    (SELECT count(*) FROM numbered) AS gaps,
    (SELECT coalesce(sum(holes), 0)::BIGINT FROM numbered) AS turns_missing,
    (SELECT count(*) FROM orphaned) AS orphaned,
    (SELECT coalesce(sum(orphans), 0)::BIGINT FROM orphaned) AS orphans,
    (SELECT count(DISTINCT session_id) FROM unended) AS unended,
    (SELECT coalesce(sum(spans), 0)::BIGINT FROM unended) AS unended_spans,
    (
        SELECT list(name ORDER BY spans DESC, name)[:100]
        FROM (SELECT name, sum(spans) AS spans FROM unended GROUP BY name)
    ) AS unended_names,
    (SELECT count(*) FROM source WHERE regexp_matches(trace_state, 'ot=[^,]*th:0*[1-9a-f]')) AS thresholds,
    (SELECT count(*) FROM ids) AS traces,
    -- a tracer's ratio keeps low ids, by the last 8 bytes; a Collector's sampler high ones, by the last 7
    (SELECT {{top: max(low64), middle: avg(low64)}} FROM ids) AS from_below,
    (SELECT {{top: 1 - min(low56), middle: 1 - avg(low56)}} FROM ids) AS from_above
"""


def clocks(opened: Opened, where: str) -> list[Clock]:
    """Services whose clocks disagree: with one another, where work begins before it was asked for, or with ours."""
    columns = ["trace_id", "span_id", "parent_span_id", "kind", "service_name", "service_instance"]
    source = opened.snapshot.sql([*columns, "start_unix_nano", "end_unix_nano", "ingest_time"], raw_ids=True)
    chosen = f"SELECT * FROM ({source}) WHERE true{where}"  # noqa: S608
    found = opened.engine.sql(_CLOCKS.format(source=chosen, skew=_SKEW_NS, ahead=_AHEAD_NS))
    return [Clock(**row) for row in found.to_pylist()]


_CLOCKS: Final = """
WITH stored AS MATERIALIZED (
    SELECT *, coalesce(service_name, '(unnamed)') AS service,
        coalesce(service_name, '') || ' ' || coalesce(service_instance, '') AS process,
        epoch_us(ingest_time) * 1000 AS ingest_nano
    FROM ({source})
),
pairs AS (
    SELECT c.service, p.service AS other,
        CASE
            WHEN c.start_unix_nano < p.start_unix_nano - {skew} THEN c.start_unix_nano - p.start_unix_nano
            WHEN c.kind = 'server' AND p.kind = 'client' AND c.end_unix_nano > p.end_unix_nano + {skew}
                THEN c.end_unix_nano - p.end_unix_nano
        END AS apart
    FROM stored c JOIN stored p ON p.span_id = c.parent_span_id AND p.trace_id = c.trace_id
    WHERE c.process <> p.process
),
future AS (
    SELECT service, '' AS other, end_unix_nano - ingest_nano AS apart
    FROM stored WHERE end_unix_nano > ingest_nano + {ahead}
)
SELECT service, other, arg_max(apart, abs(apart)) / 1e9 AS seconds, count(*) AS spans
FROM (SELECT * FROM pairs WHERE apart IS NOT NULL UNION ALL SELECT * FROM future)
GROUP BY service, other, sign(apart)
ORDER BY abs(seconds) DESC, service, other
LIMIT 20
"""


def texts(opened: Opened, where: str) -> tuple[int, int]:
    """Spans with what was said, and spans of which a text was withheld."""
    source = opened.snapshot.sql(["trace_id", "user_text", "bot_text", "attributes"], raw_ids=True)
    chosen = f"SELECT * FROM ({source}) WHERE true{where}"  # noqa: S608
    row = opened.engine.sql(_TEXTS.format(source=chosen)).to_pylist()[0]
    return row["kept"], row["withheld"]


_TEXTS: Final = """
SELECT count(coalesce(user_text, bot_text)) AS kept,
    count(CASE WHEN list_count(map_values(attributes)) < len(map_values(attributes)) THEN 1 END) AS withheld
FROM ({source})
"""


def broken(opened: Opened) -> tuple[int, list[tuple[str, int]]]:
    """How many turns there are, and how many break each quality rule."""
    rows = opened.engine.sql(
        "SELECT rule, count(*) AS n FROM (SELECT unnest(list_distinct(quality)) AS rule FROM turns) "
        "GROUP BY rule ORDER BY n DESC, rule"
    ).to_pylist()
    turns: int = opened.engine.sql("SELECT count(*) AS n FROM turns").to_pylist()[0]["n"]
    return turns, [(row["rule"], row["n"]) for row in rows]
