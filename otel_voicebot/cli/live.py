"""What the commands that look again and again share: where figures come from, and the clock."""

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from otel_voicebot.cli.asking import ask
from otel_voicebot.cli.options import Question
from otel_voicebot.cli.output import note
from otel_voicebot.errors import NoDataError, UnreachableError, UnreadableDataError, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from otel_voicebot.reports.observed import Observed
    from otel_voicebot.reports.samples import Samples

__all__ = [
    "LONGEST_S",
    "MOST_STEPS",
    "Count",
    "Directory",
    "Service",
    "Source",
    "Url",
    "Window",
    "beats",
    "look_once",
    "looks",
    "seconds_of",
    "source_of",
    "stoppable",
]

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Ask a running service by its /metrics, such as http://127.0.0.1:8000, instead of the data directory.",
        show_default=False,
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window",
        metavar="TIME",
        help="Only the last 60, 15m, 24h: of a directory the calls that began in it; of a service what it counted "
        "while it was watched.",
        show_default=False,
    ),
]
Count = Annotated[
    int | None,
    typer.Option("--count", metavar="N", min=1, help="Stop after so many looks. Default: until Ctrl-C."),
]

LONGEST_S: Final = 86_400
"""Between two looks."""
MOST_STEPS: Final = 400
"""Scrapes that are kept: each is some thousand numbers."""


@dataclass
class Directory:
    """Figures of a data directory; ``window_s``: of the calls that began in the last so many seconds."""

    question: Question
    window_s: float | None = None

    def begin(self) -> bool:
        """Whether there is nothing to be seen before an interval has passed: never."""
        return False

    def look(self) -> "Observed":
        """The figures now. In a window in which nothing came in there is none.

        Raises:
            NoDataError: nothing ever came in.
            UnreadableDataError, UsageError: as ``asking.ask``.
        """
        from otel_voicebot.reports.observed import of_directory  # noqa: PLC0415 - not for --help

        window, now = self.window_s, datetime.now(UTC)
        question = self.question if window is None else replace(self.question, since=f"{window:f}s")
        try:
            return ask(question, now, lambda opened: of_directory(opened, window), brief=True, kpis=True)
        except NoDataError:
            if window is None:
                raise
            return _quiet(question, now, window)


def _quiet(question: Question, now: datetime, window_s: float) -> "Observed":
    """A window without data, of a directory that has older data; raises as ``Directory.look``."""
    from otel_voicebot.reports.observed import of_nothing  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.source import scope_of  # noqa: PLC0415
    from otel_voicebot.store.reader import snapshot  # noqa: PLC0415

    return of_nothing(scope_of(snapshot(question.settings().data), question.selection(now), now), window_s)


@dataclass
class Service:
    """Figures of a running service.

    Attributes:
        url: of its metrics.
        only: labels that are asked for.
        window_s: of how many of the last seconds; None: since the service was started.
    """

    url: str
    only: dict[str, str]
    window_s: float | None = None
    _last: "tuple[float, Samples] | None" = None
    _steps: "deque[tuple[float, Samples]]" = field(default_factory=deque)

    def begin(self) -> bool:
        """Start the window where there is one: what is counted in it takes two scrapes. Raises as ``look``."""
        if self.window_s is None:
            return False
        self._last = (time.monotonic(), self._scrape())
        return True

    def look(self) -> "Observed":
        """The figures now: in a window those since ``begin``, until it is full.

        Raises:
            UnreachableError: it doesn't answer, or something else does.
        """
        from otel_voicebot.reports.observed import of_service  # noqa: PLC0415 - not for --help
        from otel_voicebot.reports.samples import added, together  # noqa: PLC0415

        now, at, samples = datetime.now(UTC), time.monotonic(), self._scrape()
        lasted = None
        if self._last is not None and self.window_s is not None:
            before, old = self._last
            self._steps.append((at - before, added(old, samples)))
            self._last = (at, samples)
            lasted = sum(seconds for seconds, _ in self._steps)
            # a beat comes some ms early or late; one step stays, however long: it may be longer than the window
            while len(self._steps) > 1 and lasted - self._steps[0][0] >= self.window_s - 0.1 * self._steps[0][0]:
                lasted -= self._steps.popleft()[0]
            samples = together([step for _, step in self._steps])
        return of_service(self.url, samples.of(**self.only), now, lasted)

    def _scrape(self) -> "Samples":
        from otel_voicebot.reports.samples import parse  # noqa: PLC0415 - not for --help
        from otel_voicebot.reports.scrape import fetch, not_ours  # noqa: PLC0415

        samples = parse(fetch(self.url))
        if samples is None:
            raise not_ours(self.url)
        return samples


Source = Directory | Service


def source_of(question: Question, url: str | None, window_s: float | None, interval: float | None = None) -> Source:
    """Where figures come from: the service at ``url``, else the question's directory.

    Raises:
        UsageError: options contradict each other.
    """
    if window_s is not None and (question.since or question.until):
        raise UsageError("--window says of when; leave --since and --until out")
    if url is None:
        return Directory(question, window_s)
    from otel_voicebot.models import FILTERS  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.scrape import address  # noqa: PLC0415

    if question.data is not None:
        raise UsageError("name a directory with --data or a service with --url, not both")
    if question.since or question.until or question.as_of:
        raise UsageError("a service doesn't know what was when: use --window, or ask the data directory (--data)")
    if window_s is not None and interval is not None and window_s > MOST_STEPS * interval:
        raise UsageError(f"--window {window_s:g} s is more than {MOST_STEPS} times --interval {interval:g} s")
    only = {name: value for name in FILTERS if (value := getattr(question, name)) is not None}
    return Service(address(url, "--url"), only, window_s)


def seconds_of(window: str | None) -> float | None:
    """What ``--window`` says.

    Raises:
        UsageError: it is no length of time, or begins before there were any spans.
    """
    from otel_voicebot.reports.periods import length  # noqa: PLC0415 - not for --help

    seconds = None if window is None else length(window, "--window")
    if seconds is not None and seconds > time.time():
        raise UsageError(f"--window {window} begins before 1970: leave it out to see all there is")
    return seconds


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that a look is finished first; a second Ctrl-C ends at once."""
    stop = threading.Event()

    def pressed(_number: int, _frame: "FrameType | None") -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, pressed)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def beats(stop: threading.Event, interval: float, count: int | None, *, wait: bool = False) -> Iterator[int]:
    """0, 1, 2, … at once and then every ``interval`` seconds, until ``count`` or ``stop``; a beat missed is left out.

    ``wait``: the first one comes after an interval, too.
    """
    due = time.monotonic() + (interval if wait else 0.0)
    number = 0
    while count is None or number < count:
        if stop.wait(max(0.0, due - time.monotonic())):
            return
        yield number
        number += 1
        due = max(due + interval, time.monotonic())


def looks(
    source: Source, stop: threading.Event, interval: float, count: int | None
) -> "Iterator[Observed | UnreachableError | NoDataError | UnreadableDataError]":
    """What is seen each time.

    The first look's error is raised: it is the user's. Later ones are what is seen: a service that is started again
    comes back.
    """
    wait = source.begin()
    if wait:
        note(f"watching for {interval:g} s first: what a service counts in a window takes two looks")
    for number in beats(stop, interval, count, wait=wait):
        try:
            seen = source.look()
        except (UnreachableError, NoDataError, UnreadableDataError) as error:
            if not number:
                raise
            yield error
        else:
            yield seen


def look_once(source: Source) -> "Observed":
    """What is seen now, or, of a service in a window, at its end. Raises as the source's ``look``."""
    if source.begin() and isinstance(source, Service) and source.window_s:
        note(f"watching for {source.window_s:g} s: what a service counts in a window takes two looks")
        time.sleep(source.window_s)
    return source.look()
