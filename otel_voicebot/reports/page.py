"""A trace as one HTML page that needs nothing from elsewhere: what ``trace --html`` writes.

Everything a sender wrote is escaped by the template; beside that the page's own content security policy lets no other
script and no other style run than the two that are written here, by their digests, and nothing be loaded at all.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_voicebot.reports import pages
from otel_voicebot.reports.segments import letter
from otel_voicebot.reports.trace import Bar, Speech, Trace, Wait
from otel_voicebot.reports.values import duration, instant, plain, quantity, shown
from otel_voicebot.semconv import COMPONENTS, SEGMENTS

__all__ = ["render"]

_TICKS: Final = 8
_LABELLED: Final = 0.07
"""Share of a bar's width from which on a name fits into it."""
_AROUND: Final = ("session", "turn", "playout")
"""Components that last longer than the wait: they don't decide what the axis of a turn shows."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Nanoseconds to percent of the width."""

    start: int
    end: int
    zero: int

    def at(self, nano: int) -> float:
        """Where a time stands, 0 to 100; what lies outside stands on the edge."""
        share = (nano - self.start) / max(self.end - self.start, 1)
        return round(min(max(share, 0.0), 1.0) * 100, 3)

    def bar(self, start: int, end: int) -> dict[str, float]:
        """Left edge and width of a bar; a point has a width that can be seen."""
        left = self.at(start)
        return {"x": left, "width": round(max(self.at(end) - left, 0.15), 3)}

    def ticks(self) -> list[dict[str, object]]:
        """Round seconds from ``zero``."""
        step = _step((self.end - self.start) / 1e9 / _TICKS)
        first = -int((self.zero - self.start) / 1e9 / step)
        last = int((self.end - self.zero) / 1e9 / step)
        return [
            {"x": self.at(self.zero + round(tick * step * 1e9)), "label": f"{tick * step:.10g} s"}
            for tick in range(first, last + 1)
        ]


def _step(least: float) -> float:
    size = 0.001
    while True:
        for factor in (1, 2, 5):
            if size * factor >= least:
                return size * factor
        size *= 10


def render(trace: Trace) -> str:
    """The page."""
    style, script = pages.file("base.css") + pages.file("trace.css"), pages.file("trace.js")
    groups = _groups(trace)
    view = {
        "title": _title(trace),
        "policy": pages.policy([script], f"'{pages.digest(style)}'"),
        "style": style,
        "script": script,
        "facts": _facts(trace),
        "failed": [_row(bar, 0, _whole(trace)) for bar in trace.bars if bar.failed],
        "overview": _overview(trace) if trace.turn is None else None,
        "turns": [_turn(trace, turn, bars) for turn, bars in groups.items() if turn is not None],
        "loose": _loose(trace, groups.get(None, [])),
        "data": _data(trace),
    }
    return pages.template("trace.html.jinja").render(view)


def _title(trace: Trace) -> str:
    return shown(
        f"Turn {trace.turn} of call {trace.session_id}" if trace.turn is not None else f"Call {trace.session_id}"
    )


def _facts(trace: Trace) -> list[tuple[str, str]]:
    first = trace.bars[0].row
    start = first.get("start_time")
    axis = _whole(trace)
    facts = [("began", instant(start))] if start else []  # type: ignore[arg-type]
    facts += [
        (name, shown(str(first[name]))) for name in ("bot", "channel", "variant", "environment") if first.get(name)
    ]
    facts += [("length", duration((axis.end - axis.start) / 1e9)), ("spans", str(len(trace.bars)))]
    traces = dict.fromkeys(str(bar.row.get("trace_id")) for bar in trace.bars)
    return [*facts, ("trace", shown(" ".join(traces)))]


def _whole(trace: Trace) -> _Axis:
    times = [at for bar in trace.bars for at in (bar.start, bar.end) if at is not None]
    return _Axis(min(times), max(times), min(times))


def _groups(trace: Trace) -> dict[int | None, list[tuple[Bar, int]]]:
    """Spans by turn, with their depth in it; one that says no turn goes with its parent."""
    groups: dict[int | None, list[tuple[Bar, int]]] = {wait.turn: [] for wait in trace.waits}
    above: list[tuple[int | None, int]] = []  # of each depth, the turn and the depth at which the turn began
    for bar in trace.bars:
        del above[bar.depth :]
        parent, began = above[-1] if above else (None, 0)
        turn = bar.turn if bar.turn is not None else parent
        began = began if turn == parent and above else bar.depth
        above += [(turn, began)] * (bar.depth + 1 - len(above))
        groups.setdefault(turn, []).append((bar, bar.depth - began))
    return dict(sorted(groups.items(), key=lambda item: item[0] or 0))


def _turn(trace: Trace, turn: int, bars: Sequence[tuple[Bar, int]]) -> dict[str, object]:
    """All that the page shows of one turn."""
    wait = next((one for one in trace.waits if one.turn == turn), None)
    speech = next((one for one in trace.speech if one.turn == turn), None)
    axis = _axis(wait, speech, bars)
    slowest = max((one.seconds or 0 for one in trace.waits), default=0)
    return {
        "turn": turn,
        "wait": _waited(wait, axis) if wait is not None else None,
        "open": trace.turn is not None or (wait is not None and wait.seconds == slowest),
        "slowest": trace.turn is None and wait is not None and wait.seconds == slowest and len(trace.waits) > 1,
        "said": [(who, shown(text)) for who, text in trace.said_in(turn)],
        "ticks": axis.ticks(),
        "marks": _marks(wait, axis),
        "speech": _spoken(speech, axis) if speech is not None else [],
        "rows": [_row(bar, depth, axis) for bar, depth in bars],
        "events": [
            {"x": axis.at(event.at), "name": shown(event.name)}
            for event in trace.events
            if axis.start <= event.at <= axis.end
        ],
    }


def _axis(wait: Wait | None, speech: Speech | None, bars: Sequence[tuple[Bar, int]]) -> _Axis:
    """The wait and the work, and a little on both sides."""
    inner = [bar for bar, _ in bars if bar.component not in _AROUND] or [bar for bar, _ in bars]
    times = [at for bar in inner for at in (bar.start, bar.end) if at is not None]
    times += [at for one in (wait.segments if wait else ()) for at in (one.start, one.end)]
    marks = (speech.user_end, speech.bot_start) if speech is not None else ()
    times += [at for at in marks if at is not None]
    start, end = min(times, default=0), max(times, default=1)
    margin = max((end - start) // 12, 1)
    zero = wait.segments[0].start if wait and wait.segments else next((at for at in marks if at), start)
    return _Axis(start - margin, end + margin, zero)


def _waited(wait: Wait, axis: _Axis) -> dict[str, object]:
    longest = wait.longest
    return {
        "seconds": (">= " if wait.abandon_reason else "") + duration(wait.seconds),
        "outcome": shown(" ".join(part for part in (wait.outcome, wait.abandon_reason) if part)),
        "answered": wait.abandon_reason is None,
        "longest": shown(_owned(longest.name, longest.owner)) if longest is not None else "",
        "segments": [
            {
                **axis.bar(one.start, one.end),
                "name": shown(one.name),
                "class": one.name if one.name in SEGMENTS else "other",
                "meaning": SEGMENTS.get(one.name, ""),
                "letter": letter(one.name),
                "labelled": (one.end - one.start) / (axis.end - axis.start) > _LABELLED,
                "owner": shown(one.owner or ""),
                "kind": shown(one.owner_kind or ""),
                "detail": shown(one.detail or ""),
                "after": duration((one.start - wait.segments[0].start) / 1e9),
                "took": duration(one.seconds),
                "share": quantity(wait.share(one), "ratio"),
                "span": shown(one.span_id or ""),
            }
            for one in wait.segments
        ],
    }


def _owned(segment: str, owner: str | None) -> str:
    return f"{segment} by {owner}" if owner else segment


def _marks(wait: Wait | None, axis: _Axis) -> list[dict[str, object]]:
    if wait is None or not wait.segments:
        return []
    ends = "bot speaks" if wait.outcome == "answered" else "given up"
    return [
        {"x": axis.at(wait.segments[0].start), "label": "caller stops"},
        {"x": axis.at(wait.segments[-1].end), "label": ends},
    ]


def _spoken(speech: Speech, axis: _Axis) -> list[dict[str, object]]:
    return [
        {"who": who, "took": duration((end - start) / 1e9), **axis.bar(start, end)}
        for who, start, end in (
            ("caller", speech.user_start, speech.user_end),
            ("bot", speech.bot_start, speech.bot_end),
        )
        if start is not None and end is not None and end >= start
    ]


def _row(bar: Bar, depth: int, axis: _Axis) -> dict[str, object]:
    end = bar.end if bar.end is not None else bar.start
    first = min(bar.first_chunk, end) if bar.first_chunk is not None else None
    return {
        "span": str(bar.row.get("span_id")),
        "label": shown(bar.label),
        "depth": min(depth, 6),
        "class": bar.component if bar.component in COMPONENTS else "other",
        "failed": shown(str(bar.row.get("error_type") or "error")) if bar.failed else "",
        "took": duration((bar.end - bar.start) / 1e9) if bar.end is not None else "?",
        "first": axis.bar(bar.start, first) if first is not None and first > bar.start else None,
        **axis.bar(bar.start, end),
    }


def _overview(trace: Trace) -> dict[str, object]:
    """The whole call on one line: who spoke when, and the waits."""
    axis = _whole(trace)
    return {
        "ticks": axis.ticks(),
        "speech": [part for speech in trace.speech for part in _spoken(speech, axis)],
        "waits": [
            {"turn": wait.turn, "segments": _waited(wait, axis)["segments"], "seconds": duration(wait.seconds)}
            for wait in trace.waits
            if wait.segments
        ],
    }


def _loose(trace: Trace, bars: Sequence[tuple[Bar, int]]) -> dict[str, object] | None:
    """Spans of no turn, on the axis of the call."""
    if not bars:
        return None
    axis = _whole(trace)
    return {"ticks": axis.ticks(), "rows": [_row(bar, depth, axis) for bar, depth in bars]}


def _data(trace: Trace) -> str:
    """What the page tells of a span when it is chosen, as JSON that can stand in a script element.

    Resource attributes are the same for most spans, so they are written once.
    """
    known: dict[str, int] = {}
    spans = {str(bar.row.get("span_id")): dict(_told(bar.row, known)) for bar in trace.bars}
    document = {"spans": spans, "resources": [json.loads(text) for text in known]}
    return pages.embedded(document)


def _told(row: Mapping[str, object], known: dict[str, int]) -> Iterator[tuple[str, object]]:
    for key, value in row.items():
        simple = plain(value)
        if simple in (None, "", [], {}):
            continue
        if key == "resource_attributes":
            yield key, known.setdefault(json.dumps(simple, ensure_ascii=False, sort_keys=True), len(known))
        else:
            yield key, simple
