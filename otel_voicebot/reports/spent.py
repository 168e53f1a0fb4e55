"""Puts together, from many pieces, what waits were spent on."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from otel_voicebot.reports.waits import Ints, Key, Spent, combined, numbers, truths, waits

__all__ = ["TOLD", "joined", "of_turns", "spent"]

TOLD: Final = ("kind", "response_gap_s", "wait_s", "segments")
"""Columns of turns that ``of_turns`` reads."""


def of_turns(turns: pa.Table) -> Spent:
    """The answered ones among turns (form TURNS, of its columns only ``TOLD``)."""
    found = waits(turns)
    return found.only(found.answered)


def spent(waited: pa.Table, segments: pa.Table) -> Spent:
    """The same of what a ``Cutting`` engine gives.

    Args:
        waited: ``wait`` and ``response_gap_s`` of the answered turns.
        segments: ``wait``, the fields of ``Key`` and ``ns`` of all segments, those of abandoned waits too.
    """
    wait = numbers(segments["wait"])
    cut = truths(pc.is_valid(waited["wait"]))
    rows = np.full(int(wait.max(initial=0)) + 1, -1, np.int32)
    own = numbers(waited["wait"].drop_null())
    of = np.flatnonzero(cut)[own < len(rows)]
    rows[own[own < len(rows)]] = of
    turn = rows[wait]
    order = np.argsort(turn, kind="stable")[np.count_nonzero(turn < 0) :]
    code, values = combined([segments[name].combine_chunks() for name in Key._fields])
    keys = tuple(Key(name or "", *others) for name, *others in values)
    gaps = np.rint(numbers(waited["response_gap_s"]) * 1e9).astype(np.int64)
    return Spent(gaps, keys, turn[order], code[order].astype(np.int32), numbers(segments["ns"])[order])


def joined(pieces: Iterable[Spent]) -> Spent:
    """Pieces one behind the other."""
    places: dict[Key, int] = {}
    waited, ns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    turn, key = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    rows = 0
    for piece in pieces:
        place = np.array([places.setdefault(one, len(places)) for one in piece.keys], np.int32)
        waited.append(piece.waited_ns)
        turn.append((piece.turn + rows).astype(np.int32))  # of a hundred million spans they take a gigabyte each
        key.append(place[piece.key] if len(place) else np.empty(0, np.int32))
        ns.append(piece.ns)
        rows += len(piece)
    return _ordered(
        Spent(np.concatenate(waited), tuple(places), np.concatenate(turn), np.concatenate(key), np.concatenate(ns))
    )


def _ordered(found: Spent) -> Spent:
    """The same, its keys with the most time first."""
    order: Ints = np.argsort(-np.bincount(found.key, weights=found.ns, minlength=len(found.keys)), kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    keys = tuple(found.keys[at] for at in order.tolist())
    return Spent(found.waited_ns, keys, found.turn, place[found.key] if len(order) else found.key, found.ns)
