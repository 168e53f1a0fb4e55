"""``monitor-session``, also ``otel-voicebot monitor-session``."""

import json as json_text
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish
from otel_voicebot.cli.live import (
    LONGEST_S,
    Count,
    Source,
    Url,
    Window,
    look_once,
    looks,
    seconds_of,
    source_of,
    stoppable,
)
from otel_voicebot.cli.options import Json, Now, grouped
from otel_voicebot.errors import UsageError, VoicebotError

if TYPE_CHECKING:
    from otel_voicebot.reports.observed import Observed

__all__ = ["monitor_session"]

_NAMES: Final = (
    *("active_sessions", "sessions", "turns", "wer", "mos", "cache_hit_rate"),
    *("response_gap_p50_s", "response_gap_p95_s", "error_rate"),
)


@grouped
def monitor_session(
    *,
    stats: Annotated[  # noqa: ARG001 - the document's word for what is shown in any case
        bool, typer.Option("--stats", help="Show the statistics; they are shown in any case.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval", metavar="SECONDS", min=0.1, max=LONGEST_S, help="Between two looks of --live. Default: 2."
        ),
    ] = None,
    count: Count = None,
    url: Url = None,
    window: Window = None,
    question: Now,
    json: Json = False,
) -> int:
    """Sessions under way, word error rate, MOS, cache hits.

    With --live the figures refresh themselves on a terminal; elsewhere there is a block, or with --json a line of
    JSON, at each look. A session is under way until its own span has come, or until it was silent for ten minutes
    (OTEL_VOICEBOT_SESSION_IDLE_TIMEOUT).
    """
    if not live and (interval, count) != (None, None):
        raise UsageError("--interval and --count are of --live")
    beat = interval or 2.0
    source = source_of(question, url, seconds_of(window), beat if live else None)
    if not live:
        found = look_once(source).some(_NAMES)
        if json:
            out.write_json(found.document("monitor-session"), None)
        else:
            out.write_table(found.head(), [found.grid("Sessions")], None)
        return finish(found.scope)
    return _watch(source, beat, count, json=json)


def _watch(source: Source, beat: float, count: int | None, *, json: bool) -> int:
    last = None
    with stoppable() as stop, _screen(beat, json=json) as screen:
        for seen in looks(source, stop, beat, count):
            if isinstance(seen, VoicebotError):
                screen.failed(str(seen))
            else:
                last = seen.some(_NAMES)
                screen.show(last)
    return 0 if last is None else finish(last.scope)


class _Screen(Protocol):
    """Where looks are shown."""

    def show(self, found: "Observed") -> None:
        """What was seen."""
        ...

    def failed(self, why: str) -> None:
        """Nothing was seen this time."""
        ...


@contextmanager
def _screen(beat: float, *, json: bool) -> Iterator[_Screen]:
    console = None if json else out.terminal()
    if console is None:
        yield _Pipe(json)
        return
    from rich.console import Group  # noqa: PLC0415 - only where a terminal shows it
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from otel_voicebot.reports.grid import as_rich  # noqa: PLC0415

    with Live(console=console, auto_refresh=False) as live:

        class Terminal:
            shown: "Observed | None" = None

            def show(self, found: "Observed") -> None:
                self.shown = found
                live.update(self._drawn(found, f"every {beat:g} s; Ctrl-C ends"), refresh=True)

            def failed(self, why: str) -> None:
                if self.shown is not None:
                    live.update(self._drawn(self.shown, f"no answer now: {why}", "red"), refresh=True)

            def _drawn(self, found: "Observed", foot: str, style: str = "dim") -> Group:
                head = Text("\n".join(found.head()))
                return Group(head, Text(), as_rich(found.grid("Sessions")), Text(foot, style=style))

        yield Terminal()


class _Pipe:
    """A block, or a line of JSON, at each look."""

    def __init__(self, json: bool) -> None:
        self._json = json

    def show(self, found: "Observed") -> None:
        from otel_voicebot.reports.grid import as_text  # noqa: PLC0415 - not for --help
        from otel_voicebot.reports.values import shown  # noqa: PLC0415

        if self._json:
            out.write(json_text.dumps(found.document("monitor-session"), ensure_ascii=False) + "\n", None)
        else:
            head = "\n".join(map(shown, found.head()))
            out.write(f"{head}\n\n{as_text(found.grid('Sessions'))}\n\n", None)

    def failed(self, why: str) -> None:
        out.note(f"otel-voicebot: {why}")
