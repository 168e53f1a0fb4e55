"""``why`` for people and programs: tables and the JSON document."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Final

from otel_voicebot.reports.grid import Column, Grid
from otel_voicebot.reports.values import duration, plain, quantity, seconds
from otel_voicebot.reports.waits import Key
from otel_voicebot.reports.why import Line, Measured, Why

__all__ = ["document", "grids", "head", "table"]

_SHOWN: Final = ("before_s", "after_s", "change_s", "frequency_s", "duration_s", "low_s", "high_s")
_SHARES: Final = ("before_share", "after_share", "before_mean_s", "after_mean_s")
_LINES: Final = 12
"""Lines that people get to see; programs get all."""
_LEAST_S: Final = 0.0005
"""Changes that would be written as 0 ms."""


def head(why: Why) -> list[str]:
    """What was compared, and the answer in a sentence."""
    return [
        _answer(why),
        f"this period: {_told(why.after)}",
        f"before:      {_told(why.before)}",
        *why.after.scope.lines("means of answered turns")[1:],
    ]


def _answer(why: Why) -> str:
    change = why.change
    if change.noise is None:
        return f"the mean response gap changed by {_signed(change.change_s)}; too few calls to tell it from noise"
    if change.noise:
        return f"the mean response gap changed by {_signed(change.change_s)}, which is within noise"
    way = "longer" if change.change_s > 0 else "shorter"
    led = next((line for line in why.lines if not line.noise and line.change_s * change.change_s > 0), None)
    most = f", most of it in {_name(led)} ({_signed(led.change_s)})" if led is not None else ""
    return f"callers wait {duration(abs(change.change_s))} {way} on average{most}"


def _name(line: Line) -> str:
    return line.key.label if line.key is not None else "the whole gap"


def _told(period: Measured) -> str:
    return f"{period.turns} answered turns of {period.calls} calls, {period.scope.window()}"


def _signed(seconds: float | None) -> str:
    if seconds is None:
        return duration(None)
    if abs(seconds) < _LEAST_S:
        return duration(0.0)
    return ("+" if seconds > 0 else "") + duration(seconds)


def document(why: Why) -> dict[str, object]:
    """The JSON document of ``why --json``."""
    return {
        **why.after.scope.document("why"),
        "against": {"since": plain(why.before.scope.since), "until": plain(why.before.scope.until)},
        "before": _period(why.before),
        "after": _period(why.after),
        "change": _line(why.change),
        "lines": [_line(line) for line in why.lines],
    }


def _period(period: Measured) -> dict[str, object]:
    values = {field.name: getattr(period, field.name) for field in fields(period) if field.name != "scope"}
    return {**values, "abandoned": asdict(period.abandoned)}


def _line(line: Line) -> dict[str, object]:
    key = line.key.document() if line.key is not None else {}
    return {
        **key,
        **{name: plain(getattr(line, name)) for name in (*_SHOWN, *_SHARES)},
        "within_noise": line.noise,
        "examples": list(line.examples),
    }


def grids(why: Why) -> list[Grid]:
    """Three tables: the split; the gap's mean and quantiles with abandoned waits; example turns."""
    large = [line for line in why.lines[:_LINES] if abs(line.change_s) >= _LEAST_S]
    small = why.lines[len(large) :]
    others = [_others(small)] if small else []
    return [_split([*map(_row, large), *others, _row(why.change)]), _periods(why), _examples(why)]


def table(why: Why) -> Grid:
    """The split with every line, for programs."""
    return _split([_row(line) for line in (*why.lines, why.change)])


def _row(line: Line) -> dict[str, object]:
    whole = {"segment": "response_gap", **dict.fromkeys(Key._fields[1:])} if line.key is None else {}
    return {
        **whole,
        **_line(line),
        "_interval": "" if line.low_s is None else f"{_signed(line.low_s)} to {_signed(line.high_s)}",
        "_verdict": {None: "too few calls", True: "noise", False: ""}[line.noise],
    }


def _others(lines: Sequence[Line]) -> dict[str, object]:
    sums = {name: sum(getattr(line, name) for line in lines) for name in _SHOWN if not name.startswith(("low", "high"))}
    return {"segment": f"others ({len(lines)})", "owner": None, **sums}


def _split(rows: Sequence[dict[str, object]]) -> Grid:
    columns = (
        Column("segment", "segment"),
        Column("owner", "owner", _text),
        Column("before_s", "before", seconds, right=True),
        Column("after_s", "now", seconds, right=True),
        Column("change_s", "change", _change, right=True, style="bold"),
        Column("frequency_s", "by frequency", _change, right=True),
        Column("duration_s", "by duration", _change, right=True),
        Column("_interval", "95 %", _text, right=True),
        Column("_verdict", "", _text),
    )
    notes = (
        "before, now: what it adds to the average answered turn; the changes above add up to that of the response gap.",
        "by frequency: it occurs in more or fewer turns; by duration: it takes longer or shorter when it does.",
        "95 %: of all lines at once, from calls drawn anew; noise: the interval holds 0.",
    )
    return Grid("why", "Where the change comes from", columns, tuple(rows), notes=notes)


def _text(value: object) -> str:
    return str(value or "")


def _change(value: object) -> str:
    return _signed(value if isinstance(value, float) else None)


def _periods(why: Why) -> Grid:
    before, after = why.before, why.after
    rows = [
        {"what": f"{name} response gap", "before": getattr(before, key), "now": getattr(after, key), "unit": "s"}
        for name, key in (("mean", "mean_s"), ("median", "p50_s"), ("p95", "p95_s"))
    ]
    rows += [
        {"what": what, "before": getattr(before.abandoned, key), "now": getattr(after.abandoned, key), "unit": unit}
        for what, key, unit in (
            ("exchanges", "exchanges", "turns"),
            ("abandoned_wait_rate (abandoned / exchanges)", "rate", "ratio"),
            ("abandoned exchanges", "turns", "turns"),
            ("their mean wait, at least", "mean_wait_s", "s"),
        )
    ]
    shown = tuple(
        {**row, **{f"_{side}": quantity(row[side], str(row["unit"])) for side in ("before", "now")}} for row in rows
    )
    columns = (
        Column("what", ""),
        Column("_before", "before", right=True),
        Column("_now", "now", right=True, style="bold"),
    )
    notes = ["gaps are of answered turns; only the mean can be split into parts that add up"]
    if untimed := before.abandoned.untimed + after.abandoned.untimed:
        notes.append(f"their mean wait is without {untimed} of unknown length; the rate counts them")
    return Grid("periods", "The two periods", columns, shown, notes=tuple(notes))


def _examples(why: Why) -> Grid:
    rows = tuple(
        {"segment": line.key.segment, "owner": line.key.owner, "turn": turn}
        for line in why.lines
        if line.key is not None and not line.noise
        for turn in line.examples
    )
    columns = (
        Column("segment", "segment"),
        Column("owner", "owner", _text),
        Column("turn", "otel-voicebot trace"),
    )
    return Grid("examples", "Turns in which it took longest", columns, rows, "no change is beyond noise")
