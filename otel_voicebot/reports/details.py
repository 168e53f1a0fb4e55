"""What stands under a waterfall: what each span says of itself, what was said, and events."""

from collections.abc import Callable, Mapping

from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.trace import Bar, Trace
from otel_voicebot.reports.values import duration, quantity
from otel_voicebot.reports.waterfall import zero

__all__ = ["details", "events", "links", "said"]

_Say = Callable[[Mapping[str, object]], str | None]


def _number(key: str, text: str, *, seconds: bool = False) -> _Say:
    def say(row: Mapping[str, object]) -> str | None:
        value = row.get(key)
        if not isinstance(value, (int, float)):
            return None
        return text.format(duration(value) if seconds else quantity(value))

    return say


def _text(key: str, text: str) -> _Say:
    return lambda row: text.format(row[key]) if row.get(key) not in (None, "") else None


def _true(key: str, yes: str, no: str = "") -> _Say:
    return lambda row: (yes if row[key] else no) or None if row.get(key) is not None else None


def _wer(row: Mapping[str, object]) -> str | None:
    errors, words = row.get("wer_errors"), row.get("wer_words")
    return f"{errors} of {words} words wrong" if errors is not None and words is not None else None


_SAY: tuple[_Say, ...] = (
    _text("error_type", "error {}"),
    _text("provider", "{}"),
    _text("model", "{}"),
    _text("outcome", "{}"),
    _text("end_reason", "ended: {}"),
    _text("intent", "intent {}"),
    _true("intent_fallback", "fallback"),
    _number("confidence", "confidence {}"),
    _text("cache_level", "{}"),
    _true("cache_hit", "hit", "miss"),
    _number("time_to_first_chunk_s", "first chunk after {}", seconds=True),
    _number("input_tokens", "{} tokens in"),
    _number("output_tokens", "{} tokens out"),
    _number("audio_s", "audio {}", seconds=True),
    _number("characters", "{} characters"),
    _wer,
    _number("mos", "MOS {}"),
    _text("handoff_requested_by", "asked for by the {}"),
    _true("handoff_planned", "planned", "unplanned"),
    _true("handoff_blocked", "blocked: circular"),
    _true("interrupted", "interrupted"),
    _true("synthetic", "synthetic"),
)


def details(trace: Trace) -> Grid:
    """One line a span that says something of itself."""
    rows = tuple(
        {"span": bar.label, "after": _after(trace, bar.start), "says": text}
        for bar in trace.bars
        if (text := _says(bar))
    )
    columns = (Column("after", "at", right=True), Column("span", "span"), Column("says", "what it says"))
    return Grid("details", "Details", columns, rows, empty="the spans say no more")


def _says(bar: Bar) -> str:
    return ", ".join(text for say in _SAY if (text := say(bar.row)))


def _after(trace: Trace, at: int) -> str:
    """As the picture counts it: below 0 before the caller's end of speech."""
    return f"{(at - zero(trace)) / 1e9:.3f} s"


_SILENT = "nothing that was said is stored: content capture is off, or no span has a text"


def said(trace: Trace) -> Grid:
    """The transcript, where it is stored."""
    rows = tuple({"who": who, "text": text} for who, text in trace.said)
    columns = (Column("who", "who", style="bold"), Column("text", "said"))
    return Grid(
        "said",
        "Transcript",
        columns,
        rows,
        empty=_SILENT,
    )


def events(trace: Trace) -> Grid:
    """The span events, in order."""
    rows = tuple(
        {
            "at": _after(trace, event.at),
            "event": event.name,
            "says": ", ".join(f"{key}={value}" for key, value in event.attributes.items() if value is not None),
        }
        for event in trace.events
    )
    columns = (Column("at", "at", right=True), Column("event", "event"), Column("says", "attributes"))
    return Grid("events", "Events", columns, rows, empty="no events")


def links(trace: Trace) -> Grid:
    """Spans of other traces that spans of this one point to."""
    rows = tuple(
        {"span": bar.label, "trace": str(link["trace_id"]), "to": str(link["span_id"])}
        for bar in trace.bars
        for link in _links(bar)
    )
    columns = (Column("span", "span"), Column("trace", "trace"), Column("to", "its span"))
    return Grid("links", "Links", columns, rows, empty="no links")


def _links(bar: Bar) -> list[Mapping[str, object]]:
    found = bar.row.get("links")
    return found if isinstance(found, list) else []
