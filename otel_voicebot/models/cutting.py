"""Cuts waits for whoever asks for sums over them only: no turn's row is made."""

import re
from typing import Final

import pyarrow as pa

from otel_voicebot.models.catalog import MODELS, NO_CUTS
from otel_voicebot.models.engine import Engine
from otel_voicebot.models.selection import Selection
from otel_voicebot.models.terms import Source

__all__ = ["Cutting"]

_LABELLED: Final = frozenset(
    (
        *("bot", "channel", "variant", "environment", "start_nano", "end_nano", "reply_errors", "end_reason"),
        *("flagged", "cut_off", "intent", "wait_s"),
    )
)
"""Columns of ``judged`` that sessions are selected by, beside those that waits are computed from."""
_WAITS: Final = frozenset(re.findall(r"\w+", MODELS["waits"].text))


class Cutting(Engine):
    """An engine that has the view ``segments``, the gaps of ``turns``, and nothing else unless calls are selected.

    What nobody reads of ``judged`` stays null: to put all of it together takes as long as to cut the waits.
    """

    def __init__(self, source: Source, selection: Selection, threads: int | None = None) -> None:
        self._selects = bool(selection.where()[0])
        super().__init__(source, selection, brief=True, threads=threads)

    def waited(self) -> pa.Table:
        """The answered turns: ``wait``, null where it was not cut, and ``response_gap_s``; raises as ``sql``."""
        return self.sql(
            """SELECT w.wait, t.response_gap_s FROM turns t
            LEFT JOIN waits w ON w.session_id = t.session_id AND w.turn_index = t.turn_index
            WHERE t.kind = 'exchange' AND t.response_gap_s IS NOT NULL"""
        )

    def segments(self) -> pa.Table:
        """The segments of all waits that were cut, in no order; raises as ``sql``."""
        return self.sql(
            "SELECT wait, segment, owner, owner_kind, provider, model, end_nano - start_nano AS ns FROM segments"
        )

    def _define_cuts(self, *, cut: bool) -> None:  # noqa: ARG002 - it always does
        run = self._connection.execute
        run(f"CREATE VIEW all_judged AS {MODELS['judged'].text}")
        columns = [(name, kind) for name, kind, *_ in run("DESCRIBE all_judged").fetchall()]
        kept = [name for name, _ in columns if name in _WAITS or (self._selects and name in _LABELLED)]
        run(f"CREATE TEMP TABLE some_judged AS SELECT {', '.join(kept)} FROM all_judged")
        told = ", ".join(name if name in kept else f"NULL::{kind} AS {name}" for name, kind in columns)
        run(f"CREATE VIEW judged AS SELECT {told} FROM some_judged")
        for name in ("waits", "stages", "milestones"):
            run(f"CREATE TEMP TABLE {name} AS {MODELS[name].text}")
        for name in ("walked", "segments"):
            run(f"CREATE VIEW {name} AS {MODELS[name].text}")
        for name, columns_ in NO_CUTS.items():
            run(f"CREATE TEMP TABLE {name} ({columns_})")

    def _define_rows(self, labels: str, *, brief: bool) -> None:
        if self._selects:
            super()._define_rows(labels, brief=brief)
        else:
            self._connection.execute(f"CREATE VIEW turns AS {MODELS['turns'].text}")

    def _select(self, selection: Selection, *, cut: bool) -> None:
        if self._selects:
            super()._select(selection, cut=cut)

    def _define_sections(self, *, brief: bool) -> None:
        """There are none."""
