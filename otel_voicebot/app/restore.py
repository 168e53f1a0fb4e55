"""What the process before left on disk: sessions that were open, turns that were counted, sessions that were closed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from otel_voicebot.app.seat import Seat
from otel_voicebot.errors import NoDataError, UnreadableDataError
from otel_voicebot.live import Left
from otel_voicebot.models.prepared import NARROW
from otel_voicebot.store import Snapshot, disk, snapshot
from otel_voicebot.store.layout import hour_of, start_of
from otel_voicebot.store.overflow import bounded

__all__ = ["left_behind"]

_TRIES: Final = 8
_SLACK_NS: Final = 120_000_000_000
"""A row came in at most so long before its file was written."""
_BACK_NS: Final = 6 * 3600 * 1_000_000_000
"""How far a call under way reaches back, at most."""
_HOUR_NS: Final = 3600 * 1_000_000_000
_CLOSED_KEPT: Final = 100_000


def left_behind(data: Path, seat: Seat, idle_timeout_s: float, max_spans: int, counted: pa.Array) -> Left:
    """Read what whoever sat here before has left.

    Args:
        data: the data directory.
        seat: whose files are ours.
        idle_timeout_s: a session without a span for so long before the newest commit was over.
        max_spans: as many spans at most are taken, the newest.
        counted: keys of operations outside turns that were counted.

    Raises:
        UnreadableDataError: files vanish faster than they can be read.
    """
    for attempt in range(_TRIES):
        try:
            with bounded(data) as connection:
                return _Reading(connection, data, seat, whole=attempt > 0).read(idle_timeout_s, max_spans, counted)
        except (FileNotFoundError, duckdb.Error):
            continue  # something was removed since it was listed, or is damaged
    raise UnreadableDataError(f"files in {data} vanish while they are read; try again")


@dataclass
class _Reading:
    """One try. What is found goes from step to step in tables of the connection."""

    connection: duckdb.DuckDBPyConnection
    data: Path
    seat: Seat
    whole: bool
    """Read every file in full, to leave out the damaged."""

    def read(self, idle_timeout_s: float, max_spans: int, counted: pa.Array) -> Left:
        """See ``left_behind``."""
        spans = self._files("spans")
        newest = _newest(spans)
        if not newest:
            return Left()
        run = self.connection.execute
        run("CREATE TEMP TABLE writers AS SELECT unnest(?) AS writer", [list(self.seat.writers)])
        self._load_rows("turns", newest)
        self._load_rows("sessions", newest)
        back = _since(spans, newest - _BACK_NS)
        self._load_names(_since(spans, newest - int(idle_timeout_s * 1e9) - _SLACK_NS), back, idle_timeout_s)
        rows = self._open_spans(back, max_spans)
        closed = run(
            f"""SELECT session_id, trace_id, session_source FROM sessions SEMI JOIN writers USING (writer)
            ORDER BY computed_at DESC LIMIT {_CLOSED_KEPT}"""  # noqa: S608 - a number
        ).fetchall()[::-1]
        return Left(
            rows,
            self._turns(rows),
            counted,
            tuple(name for name, _, _ in closed),
            {bytes.fromhex(trace): name for name, trace, source in closed if source == "explicit" and trace},
        )

    def _files(self, table: str, since: datetime | None = None) -> Snapshot:
        """A table's files; of spans in hot only ours."""
        try:
            found = snapshot(self.data, table, since=since)
            found = found.without_unreadable() if self.whole else found
        except NoDataError:
            return Snapshot(self.data, table, (), (), ())
        if table == "spans":
            writers = set(self.seat.writers)
            return replace(found, hot=tuple(path for path in found.hot if path.name.rpartition("-")[0] in writers))
        return found

    def _load_rows(self, table: str, newest: int) -> None:
        """Turn or session rows of the last hours, by whomever."""
        found = self._files(table, datetime.fromtimestamp((newest - _BACK_NS) / 1e9, UTC))
        chosen = found.sql() if found.files else None
        empty = found.schema.empty_table()
        self.connection.register("empty", empty)
        self.connection.execute(f"CREATE TEMP TABLE {table} AS {chosen or 'FROM empty'}")
        self.connection.unregister("empty")

    def _load_names(self, recent: Snapshot, back: Snapshot, idle_timeout_s: float) -> None:
        """Table ``open_traces``: traces of sessions that have no row of ours, and had a span lately."""
        run = self.connection.execute
        run(f"CREATE TEMP TABLE lately AS {_query(recent, ['trace_id', 'session_id', 'ingest_time'])}")
        run(
            f"""DELETE FROM lately WHERE epoch_us(ingest_time)
            < (SELECT max(epoch_us(ingest_time)) FROM lately) - {int(idle_timeout_s * 1e6)}"""  # noqa: S608 - a number
        )
        run(
            """CREATE TEMP TABLE names AS
            SELECT DISTINCT trace_id,
                coalesce(session_id, min(session_id) OVER (PARTITION BY trace_id), lower(hex(trace_id))) AS name
            FROM lately"""
        )
        run("DELETE FROM names WHERE name IN (SELECT session_id FROM sessions SEMI JOIN writers USING (writer))")
        if recent.history:
            self._leave_to_others(back)
        run(
            f"""CREATE TEMP TABLE open_traces AS SELECT DISTINCT trace_id FROM names
            UNION SELECT DISTINCT trace_id FROM ({_query(back, ["trace_id", "session_id"])})
            WHERE session_id IN (SELECT name FROM names)"""  # noqa: S608 - our own query
        )

    def _leave_to_others(self, back: Snapshot) -> None:
        """In merged hours writers can't be told apart: drop the names of sessions that are not known to be ours."""
        run = self.connection.execute
        run(f"CREATE TEMP TABLE wrote AS SELECT DISTINCT * FROM ({_query(_hot(back), _NAMED)})")  # noqa: S608 - ours
        ours = """name IN (SELECT session_id FROM wrote) OR trace_id IN (SELECT trace_id FROM wrote)
            OR name IN (SELECT session_id FROM turns SEMI JOIN writers USING (writer))"""
        others = "name IN (SELECT session_id FROM turns UNION SELECT session_id FROM sessions)"
        run(f"DELETE FROM names WHERE NOT ({ours}) AND ({others if self.seat.alone else 'true'})")  # noqa: S608

    def _open_spans(self, back: Snapshot, max_spans: int) -> pa.RecordBatch:
        found = self.connection.sql(
            f"""SELECT * FROM (
                SELECT * FROM ({_query(back, NARROW.names)}) SEMI JOIN open_traces USING (trace_id)
                QUALIFY row_number() OVER (PARTITION BY trace_id, span_id ORDER BY ingest_time) = 1
                ORDER BY ingest_time DESC LIMIT {max_spans}
            ) ORDER BY ingest_time"""  # noqa: S608 - our own query
        ).to_arrow_table()
        rows = found.select(NARROW.names).cast(NARROW).combine_chunks().to_batches()
        return rows[0] if rows else Left().spans

    def _turns(self, rows: pa.RecordBatch) -> pa.Table:
        """The last row of each turn of these sessions, under any of their names."""
        self.connection.register("restored", pa.table(rows.select(_NAMED)))
        return self.connection.sql(
            """SELECT * FROM turns SEMI JOIN writers USING (writer)
            WHERE session_id IN (SELECT session_id FROM restored UNION SELECT lower(hex(trace_id)) FROM restored)
            QUALIFY row_number() OVER (PARTITION BY session_id, turn_index ORDER BY revision DESC) = 1"""
        ).to_arrow_table()


_NAMED: Final = ["trace_id", "session_id"]


def _query(files: Snapshot, columns: Iterable[str]) -> str:
    """An SQL query for these columns of spans, also where there is no file."""
    wanted = list(columns)
    if files.files:
        return files.sql(wanted, raw_ids=True)
    types = {"trace_id": "BLOB", "session_id": "VARCHAR", "ingest_time": "TIMESTAMP WITH TIME ZONE"}
    nulls = ", ".join(f"NULL::{types.get(name, 'VARCHAR')} AS {name}" for name in wanted)
    return f"SELECT {nulls} WHERE false"


def _newest(files: Snapshot) -> int:
    """When the newest file was written, or its hour ended where it is merged, in unix nanoseconds; 0: there is none."""
    hot = max((disk.modified_ns(path) or 0 for path in files.hot), default=0)
    return max([hot, *(start_of(_hour(path)) + _HOUR_NS for path in files.history)])


def _since(files: Snapshot, unix_nano: int) -> Snapshot:
    """Without files that were complete before this time."""
    first = hour_of(max(unix_nano, 0))
    return replace(
        files,
        hot=tuple(path for path in files.hot if (disk.modified_ns(path) or 0) >= unix_nano),
        history=tuple(path for path in files.history if _hour(path) >= first),
    )


def _hot(files: Snapshot) -> Snapshot:
    return replace(files, history=())


def _hour(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.parent.name}"
