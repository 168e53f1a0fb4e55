"""A trace drawn with characters: a line a span, bars on one axis, marks where the caller stops and the bot begins.

Lines are made of (text, style) pieces; ``as_text`` joins them, ``as_rich`` colours them. Nothing is drawn
outside ``width`` columns.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_voicebot.reports.segments import letter, style
from otel_voicebot.reports.trace import Bar, Trace, Wait
from otel_voicebot.reports.values import duration, instant, shown

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["ASCII", "UNICODE", "Glyphs", "as_rich", "as_text", "draw", "zero"]

Line = list[tuple[str, str]]

_NAME_WIDTH = 26
_TIME_WIDTH = 11
_STYLES = {
    "session": "dim",
    "turn": "dim",
    "endpointing": "cyan",
    "stt": "blue",
    "llm": "magenta",
    "tts": "green",
    "nlu": "yellow",
    "cache": "bright_cyan",
    "playout": "bright_green",
}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters that bars are drawn with."""

    full: str
    waiting: str
    """From a span's start to its first chunk."""
    point: str
    mark: str
    guide: str
    before: str
    """The bar begins left of the picture."""
    after: str


UNICODE = Glyphs(full="█", waiting="░", point="▏", mark="▼", guide="┊", before="‹", after="›")  # noqa: RUF001 - a glyph
ASCII = Glyphs(full="#", waiting=".", point="|", mark="v", guide=":", before="<", after=">")


@dataclass(frozen=True, slots=True)
class _Axis:
    """Maps nanoseconds to columns of the picture."""

    start: int
    end: int
    zero: int
    columns: int

    def column(self, at: int) -> int:
        """The column of a time; -1 left of the picture, ``columns`` right of it."""
        if at < self.start:
            return -1
        if at > self.end:
            return self.columns
        return min(int((at - self.start) / max(self.end - self.start, 1) * self.columns), self.columns - 1)


def draw(trace: Trace, width: int, glyphs: Glyphs) -> list[Line]:
    """The waterfall of a trace, at most ``width`` (at least 60) columns wide."""
    width = max(width, 60)
    axis = _axis(trace, width - _NAME_WIDTH - _TIME_WIDTH)
    guides = _guides(trace, axis)
    lines: list[Line] = [[(line[:width], "bold" if index == 0 else "")] for index, line in enumerate(_head(trace))]
    lines += [[], *_ruler(trace, axis, glyphs)]
    lines += _spoken(trace, axis, glyphs, guides)
    waits: dict[int | None, Wait] = {wait.turn: wait for wait in trace.waits if wait.segments}
    for bar in trace.bars:
        if (wait := waits.pop(bar.turn, None)) is not None:  # above the turn's first span
            lines.append(_waited(wait, axis, glyphs, guides))
        lines.append(_line(bar, axis, glyphs, guides))
    lines += [_waited(wait, axis, glyphs, guides) for wait in waits.values()]
    lines += [[(_legend(trace, glyphs), "dim")]]
    return lines


def _head(trace: Trace) -> list[str]:
    first = trace.bars[0].row
    names = [str(first[key]) for key in ("bot", "channel", "variant", "environment") if first.get(key)]
    start = first.get("start_time")
    what = f"turn {trace.turn} of session" if trace.turn is not None else "session"
    lines = [f"{what} {trace.session_id}"]
    where = "  ".join([*names, instant(start) if start else ""])  # type: ignore[arg-type]
    lines.append(where.strip())
    return [line for line in (*lines, _answer(trace)) if line]


def _answer(trace: Trace) -> str:
    """How long the caller of a turn waited."""
    wait = trace.waits[0] if trace.turn is not None and trace.waits else None
    if wait is not None and wait.seconds is not None:
        if wait.outcome == "answered":
            return f"the caller waited {duration(wait.seconds)} for the bot"
        reason = f" ({wait.abandon_reason})" if wait.abandon_reason else ""
        return f"the caller got no answer in {duration(wait.seconds)}{reason}"
    stops, speaks = _marks(trace)
    if stops is None:
        return ""
    return f"the caller waited {duration((speaks - stops) / 1e9)} for the bot" if speaks else "the caller got no answer"


def _marks(trace: Trace) -> tuple[int | None, int | None]:
    """When the caller of a turn stopped and the bot began: by the wait where it was cut, else by the speech marks."""
    if trace.turn is None:
        return None, None
    for wait in trace.waits:
        if wait.segments:
            return wait.segments[0].start, wait.segments[-1].end if wait.outcome == "answered" else None
    return (trace.speech[0].user_end, trace.speech[0].bot_start) if trace.speech else (None, None)


def zero(trace: Trace) -> int:
    """From when times are told: of a turn the caller's end of speech where it is known; else the first span's start."""
    stops, _ = _marks(trace)
    return trace.bars[0].start if stops is None else stops


def _axis(trace: Trace, columns: int) -> _Axis:
    """The time that the picture shows: all of a call; of a turn the wait and the work, from the caller's end."""
    if trace.turn is None:
        start, end = _extent(trace, [bar.component for bar in trace.bars])
        return _Axis(start, end, start, columns)
    start, end = _extent(
        trace, [bar.component for bar in trace.bars if bar.component not in ("session", "turn", "playout")]
    )
    margin = (end - start) // 8
    stops, _ = _marks(trace)
    return _Axis(start if stops is None else start - margin, end + margin, start if stops is None else stops, columns)


def _extent(trace: Trace, components: list[str]) -> tuple[int, int]:
    """First start and last end of these components' spans and of the wait; of all spans where there is nothing else."""
    bars = [bar for bar in trace.bars if bar.component in components] or list(trace.bars)
    times = [at for bar in bars for at in (bar.start, bar.end) if at is not None]
    times += [at for speech in trace.speech for at in (speech.user_end, speech.bot_start) if at is not None]
    times += [at for wait in trace.waits for one in wait.segments for at in (one.start, one.end)]
    return min(times), max(*times, min(times) + 1_000_000)


def _guides(trace: Trace, axis: _Axis) -> tuple[int, ...]:
    """Columns in which a thin line runs down the picture of a turn."""
    return tuple(axis.column(at) for at in _marks(trace) if at is not None)


def _ruler(trace: Trace, axis: _Axis, glyphs: Glyphs) -> list[Line]:
    step = _step((axis.end - axis.start) / 1e9, axis.columns)
    canvas = [" "] * (axis.columns + _TIME_WIDTH)
    tick = -int((axis.zero - axis.start) / 1e9 / step)
    while axis.zero + tick * step * 1e9 <= axis.end:
        column = axis.column(round(axis.zero + tick * step * 1e9))
        text = f"{tick * step:.10g}"
        _write(canvas, max(column - len(text) // 2, 0), text)
        tick += 1
    lines: list[Line] = [[("seconds".ljust(_NAME_WIDTH), "dim"), ("".join(canvas).rstrip(), "dim")]]
    if trace.turn is not None and (trace.speech or trace.waits):
        lines.append([(" " * _NAME_WIDTH, ""), (_labels(_marks(trace), axis, glyphs), "bold")])
    return lines


def _step(seconds: float, columns: int) -> float:
    """A round distance between ticks that leaves each about eight columns."""
    wanted = seconds / max(columns // 8, 1)
    size = 0.001
    while True:
        for factor in (1, 2, 5):
            if size * factor >= wanted:
                return size * factor
        size *= 10


def _labels(marks: tuple[int | None, int | None], axis: _Axis, glyphs: Glyphs) -> str:
    canvas = [" "] * (axis.columns + _TIME_WIDTH)
    stops, speaks = (None if at is None else axis.column(at) for at in marks)
    if stops is not None:
        room = (axis.columns if speaks is None else speaks) - stops - 2
        text = next((text for text in (" caller stops", " caller") if len(text) <= room), "")
        _write(canvas, max(stops, 0), glyphs.mark + text)
    if speaks is not None:
        _write(canvas, min(max(speaks, 0), axis.columns - 1), f"{glyphs.mark} bot speaks")
    return "".join(canvas).rstrip()


def _write(canvas: list[str], column: int, text: str) -> None:
    for offset, character in enumerate(text):
        if column + offset < len(canvas):
            canvas[column + offset] = character


def _spoken(trace: Trace, axis: _Axis, glyphs: Glyphs, guides: tuple[int, ...]) -> list[Line]:
    """When caller and bot were heard; nothing where the spans don't say."""
    lines: list[Line] = []
    for who, name in (("user", "caller speaks"), ("bot", "bot speaks")):
        cells = _blank(axis, glyphs, guides)
        total, known = 0, False
        for speech in trace.speech:
            start, end = getattr(speech, f"{who}_start"), getattr(speech, f"{who}_end")
            if start is not None and end is not None and end >= start:
                _fill(cells, axis, (start, end), glyphs)
                total, known = total + end - start, True
        if known:
            lines.append(
                [(name.ljust(_NAME_WIDTH), ""), ("".join(cells), "white"), (_right(duration(total / 1e9)), "")]
            )
    return lines


def _waited(wait: Wait, axis: _Axis, glyphs: Glyphs, guides: tuple[int, ...]) -> Line:
    """The segments of a wait on one line, each drawn with its letter; one narrower than a column may be hidden."""
    cells = _blank(axis, glyphs, guides)
    colours = [""] * axis.columns
    for segment in wait.segments:
        left, right = max(axis.column(segment.start), 0), min(axis.column(segment.end), axis.columns)
        for column in range(left, right):
            cells[column], colours[column] = letter(segment.name), style(segment.name)
    name = "wait" if guides else f"wait of turn {wait.turn}"
    pieces = [("".join(cells[at] for at in run), colours[run[0]]) for run in _runs(colours)]
    return [(name.ljust(_NAME_WIDTH), "bold"), *pieces, (_right(duration(wait.seconds)), "bold")]


def _runs(colours: list[str]) -> list[list[int]]:
    """Neighbouring columns of one colour."""
    runs: list[list[int]] = []
    for column, colour in enumerate(colours):
        if runs and colours[runs[-1][-1]] == colour:
            runs[-1].append(column)
        else:
            runs.append([column])
    return runs


def _line(bar: Bar, axis: _Axis, glyphs: Glyphs, guides: tuple[int, ...]) -> Line:
    cells = _blank(axis, glyphs, guides)
    end = bar.end if bar.end is not None else bar.start
    first = axis.column(min(bar.first_chunk, end)) if bar.first_chunk is not None else None
    _fill(cells, axis, (bar.start, end), glyphs)
    if first is not None:
        left = max(axis.column(bar.start), 0)
        for column in range(left, min(max(first, left), axis.columns)):
            cells[column] = glyphs.waiting
    style = "bold red" if bar.failed else _STYLES.get(bar.component, "")
    length = duration((bar.end - bar.start) / 1e9) if bar.end is not None else "?"
    name = f"{' ' * min(bar.depth, 5)}{bar.label}"
    if bar.failed:
        _name_error(cells, axis, (bar.start, end), str(bar.row.get("error_type") or "error"))
    return [(_fit(name, _NAME_WIDTH), "red" if bar.failed else ""), ("".join(cells), style), (_right(length), "")]


def _blank(axis: _Axis, glyphs: Glyphs, guides: tuple[int, ...]) -> list[str]:
    return [glyphs.guide if column in guides else " " for column in range(axis.columns)]


def _fill(cells: list[str], axis: _Axis, span: tuple[int, int], glyphs: Glyphs) -> None:
    """Draws a bar; one that is narrower than a column is a point."""
    left, right = (axis.column(at) for at in span)
    if left >= axis.columns or right < 0:
        cells[-1 if left >= axis.columns else 0] = glyphs.after if left >= axis.columns else glyphs.before
        return
    if left == right:
        cells[left] = glyphs.full if (span[1] - span[0]) * 2 * axis.columns >= axis.end - axis.start else glyphs.point
        return
    for column in range(max(left, 0), min(right + 1, axis.columns)):
        cells[column] = glyphs.full
    if left < 0:
        cells[0] = glyphs.before
    if right >= axis.columns:
        cells[-1] = glyphs.after


def _name_error(cells: list[str], axis: _Axis, span: tuple[int, int], error: str) -> None:
    """Writes the error beside the bar, where there is room; without colour it would not be seen otherwise."""
    text = f"! {error}"
    after, before = axis.column(span[1]) + 2, axis.column(span[0]) - len(text) - 1
    if after + len(text) <= axis.columns:
        _write(cells, after, text)
    elif before >= 0:
        _write(cells, before, text)
    else:  # the bar itself is all there is
        _write(cells, max(axis.columns - len(text) - 3, 0), f" {text} "[: axis.columns])


def _right(text: str) -> str:
    return text.rjust(_TIME_WIDTH)


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) < width else text[: width - 2] + "~ "


def _legend(trace: Trace, glyphs: Glyphs) -> str:
    parts = []
    if any(bar.first_chunk is not None for bar in trace.bars):
        parts.append(f"{glyphs.waiting} until the first token or audio")
    failed = sum(bar.failed for bar in trace.bars)
    if failed:
        parts.append(f"{failed} failed")
    return "; ".join(parts)


def as_text(lines: list[Line]) -> str:
    """Without colour."""
    return "\n".join("".join(shown(text) for text, _ in line).rstrip() for line in lines)


def as_rich(lines: list[Line]) -> "Text":
    """With colour."""
    from rich.text import Text  # noqa: PLC0415 - only where a terminal shows it

    return Text("\n").join(Text.assemble(*((shown(text), style) for text, style in line)) for line in lines)
