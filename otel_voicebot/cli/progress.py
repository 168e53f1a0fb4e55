"""Progress on stderr: a live display on a terminal, a line now and then elsewhere."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from otel_voicebot.cli.output import note

if TYPE_CHECKING:
    from otel_voicebot.demo.results import Progress

__all__ = ["Calls", "Counter"]


class Counter:
    """Counts pieces of work, file by file."""

    def __init__(self, what: str, files: int) -> None:
        self._what = what
        self._files = files
        self._begun = 0
        self._count = 0
        self._live: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - only where a terminal shows it
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

            columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._live = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._live.add_task("", total=self._files)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, name: str) -> None:
        """The next file."""
        self._begun += 1
        if self._live is not None:
            self._live.update(self._task, completed=self._begun - 1, description=name)
        else:
            note(f"reading {name} ({self._begun} of {self._files})")

    def step(self) -> None:
        """One more piece."""
        self._count += 1
        if self._live is not None and self._count % 50 == 0:
            self._live.update(self._task, description=f"{self._count} {self._what}")


class Calls:
    """Shows the calls of a demo as they go. Called by one thread at a time.

    Args:
        total: how many calls there will be, where that is known.
        texts: say what was heard also where it may be kept, as in a log; on a terminal it is always shown.
    """

    def __init__(self, total: int | None, *, texts: bool) -> None:
        self._total = total
        self._texts = texts or sys.stderr.isatty()
        self._ended = 0
        self._live: Any = None
        self._all: Any = None
        self._tasks: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - only where a terminal shows it
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
            self._live = Progress(*columns, console=Console(stderr=True))
            self._all = self._live.add_task("[bold]calls", total=self._total)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: "Progress") -> None:
        """Show one step."""
        from rich.markup import escape  # noqa: PLC0415 - not for --help

        from otel_voicebot.demo import results  # noqa: PLC0415

        call = progress.call
        match progress:
            case results.CallStarted():
                self._say(call, f"call {call:2}  {progress.plan}: ringing")
            case results.TurnDone():
                heard = progress.utterance.hypothesis
                shown = f"“{heard or '(nothing)'}”" if self._texts else f"{len(heard.split())} words"
                self._say(call, f"call {call:2}  {progress.plan}: heard {shown}")
            case results.CallEnded():
                self._ended += 1
                result = progress.result
                text = f"call {call:2}  {result.plan}: {result.ending} after {result.seconds:.0f} s"
                if self._live is None:
                    note(
                        f"{text} ({self._ended} of {self._total} calls)"
                        if self._total
                        else f"{text} ({self._ended} calls ended)"
                    )
                else:
                    self._live.remove_task(self._tasks.pop(call))
                    self._live.console.print(escape(text))
                    self._live.update(self._all, completed=self._ended)

    def _say(self, call: int, text: str) -> None:
        from rich.markup import escape  # noqa: PLC0415 - not for --help

        if self._live is None:
            note(text)
        elif call in self._tasks:
            self._live.update(self._tasks[call], description=escape(text))
        else:
            self._tasks[call] = self._live.add_task(escape(text), total=None)
