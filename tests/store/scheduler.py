"""Runs store functions side by side, one file-system step at a time, in every order that a bound allows.

An actor is a function in a thread of its own, of which one runs at a time: before each step of ``store.disk`` it stops
and the plan says who goes on. Without a plan an actor runs to its end, then the next one; a plan names the steps at
which somebody else goes on. ``explore`` tries the plan without deviations, then all with one, then those with two.

The disk is a real directory. ``World.power_cut`` takes back changes of directories that were not fsynced, and empties
files whose bytes were not; ``World.kill`` ends an actor between two steps, as SIGKILL does.
"""

import contextlib
import itertools
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from otel_voicebot.store import disk

STEPS: Final = ("rename", "link", "remove", "remove_directory", "make_one", "sync_directory", "names", "exists", "read")
"""What is a step of its own; the other functions touch only what nobody else looks at."""
PATIENCE_S: Final = 60.0
Plan = Mapping[int, str]
"""At which step who goes on instead of whoever would."""


class Killed(BaseException):
    """The actor's process was killed."""


class BrokenPromiseError(AssertionError):
    """A promise of the store was broken."""


@dataclass
class Actor:
    """A thread that waits for its turn."""

    name: str
    body: Callable[[], None]
    turn: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    killed: bool = False
    done: bool = False


@dataclass
class Change:
    """A change of a directory that a power cut may take back until the directory is fsynced."""

    directories: tuple[Path, ...]
    paths: tuple[Path, ...]
    undo: Callable[[], None]


class World:
    """A data directory, actors, and the plan by which they run."""

    def __init__(self, root: Path, plan: Plan) -> None:
        self.root = root
        self.data = root / "data"
        self.plan = plan
        self.trace: list[tuple[str, tuple[str, ...], str]] = []  # who went on, who else could have, before which step
        self.actors: dict[str, Actor] = {}
        self.errors: list[BaseException] = []
        self._waiting: dict[str, str] = {}
        self._back = threading.Event()
        self._here = threading.local()
        self._real = {name: getattr(disk, name) for name in (*STEPS, "write", "sync_file")}
        self._pending: list[Change] = []
        self._torn: set[int] = set()
        self._saved = itertools.count()
        (root / "saved").mkdir()

    # ---- actors -------------------------------------------------------------------------------------------------

    def start(self, name: str, body: Callable[[], None]) -> None:
        """Add an actor; it runs when it is its turn."""
        actor = Actor(name, body)
        actor.thread = threading.Thread(target=self._run, args=[actor], daemon=True)
        self.actors[name] = actor
        actor.thread.start()

    def kill(self, name: str) -> None:
        """SIGKILL: it does no further step."""
        actor = self.actors.get(name)
        if actor is not None and not actor.done:
            actor.killed = True
            self._resume(actor)

    def step(self, what: str) -> None:
        """Wait for the next turn; for actors, between two looks at the disk that aren't steps of ``disk``."""
        actor: Actor | None = getattr(self._here, "actor", None)
        if actor is None:
            return
        if actor.killed:
            raise Killed
        self._waiting[actor.name] = what
        self._back.set()
        if not actor.turn.wait(PATIENCE_S):
            raise Killed
        actor.turn.clear()
        if actor.killed:
            raise Killed

    def run(self) -> None:
        """Run all actors to their ends, as the plan says.

        Raises:
            what an actor raised.
        """
        current = ""
        for number in itertools.count():
            ready = [name for name, actor in self.actors.items() if not actor.done]
            if not ready:
                break
            usual = current if current in ready else self._after(current, ready)
            chosen = self.plan.get(number, usual)
            if chosen not in ready:
                chosen = usual
            others = tuple(name for name in ready if name != chosen)
            self.trace.append((chosen, others, self._waiting.get(chosen, "start")))
            self._resume(self.actors[chosen])
            current = chosen
            if self.errors:
                break
        for actor in self.actors.values():
            self.kill(actor.name)
        if self.errors:
            raise self.errors[0]

    def advance(self, name: str, until: str) -> None:
        """Before ``run``: let an actor go on until its next step is this one (or a part of its text)."""
        actor = self.actors[name]
        while not actor.done:
            self._resume(actor)
            if until in self._waiting.get(name, ""):
                return
        raise RuntimeError(f"{name} never came to {until}")

    def _after(self, name: str, ready: Sequence[str]) -> str:
        """Who is next in the order in which actors were started, after the last the first again."""
        order = list(self.actors)
        behind = order[order.index(name) + 1 :] if name in order else []
        return next((one for one in behind if one in ready), ready[0])

    def story(self) -> str:
        """What was done, a line a turn."""
        lines = [f"{who}: {what}" for who, _, what in self.trace]
        return "\n".join(lines)

    def _resume(self, actor: Actor) -> None:
        outer, self._back = self._back, threading.Event()
        actor.turn.set()
        if not self._back.wait(PATIENCE_S):
            raise RuntimeError(f"{actor.name} does not come back")
        self._back = outer

    def _run(self, actor: Actor) -> None:
        self._here.actor = actor
        try:
            if not actor.turn.wait(PATIENCE_S):
                return
            actor.turn.clear()
            if not actor.killed:
                actor.body()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - told by ``run``
            if not actor.killed:
                self.errors.append(error)
        finally:
            actor.done = True
            self._back.set()

    # ---- the disk -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def take_over(self) -> Iterator[None]:
        """While in here, every step of ``disk`` is a turn, and is remembered until it is durable."""
        for name in STEPS:
            setattr(disk, name, self._stepped(name))
        disk.write = self._write  # type: ignore[assignment]
        disk.sync_file = self._sync_file
        try:
            yield
        finally:
            for name, function in self._real.items():
                setattr(disk, name, function)

    def power_cut(self, choose: Callable[[], bool]) -> None:
        """Take back those changes for which ``choose`` says so, the latest first; empty files that were not fsynced."""
        kept: set[Path] = set()
        for change in reversed(self._pending):
            if kept.isdisjoint(change.paths) and choose():
                with contextlib.suppress(OSError):
                    change.undo()
            else:
                kept.update(change.paths)
        self._pending.clear()
        for path in self.data.rglob("*.parquet"):
            if path.stat().st_ino in self._torn:
                os.truncate(path, 0)

    def _stepped(self, name: str) -> Callable[..., Any]:
        real = self._real[name]
        note = getattr(self, f"_note_{name}", None)

        def call(*paths: Path) -> Any:
            self.step(f"{name} {' '.join(os.path.relpath(path, self.data) for path in paths)}")
            if name == "sync_directory":
                if not paths[0].is_dir():
                    raise FileNotFoundError(2, "No such directory", str(paths[0]))
                self._pending = [change for change in self._pending if paths[0] not in change.directories]
                return None
            return real(*paths) if note is None else note(real, *paths)

        return call

    def _write(self, path: Path, content: Any, *, durable: bool) -> None:
        self._check_alive()
        self._real["write"](path, content, durable=False)
        if not durable:
            self._torn.add(path.stat().st_ino)

    def _sync_file(self, path: Path) -> None:
        self._check_alive()
        self._torn.discard(path.stat().st_ino)

    def _check_alive(self) -> None:
        actor: Actor | None = getattr(self._here, "actor", None)
        if actor is not None and actor.killed:
            raise Killed

    def _save(self, path: Path) -> Path | None:
        if not path.exists():
            return None
        saved = self.root / "saved" / str(next(self._saved))
        _copy(path, saved)
        return saved

    def _note_rename(self, real: Callable[..., Any], source: Path, target: Path) -> None:
        moved, former = self._save(source), self._save(target)
        real(source, target)

        def undo() -> None:
            _delete(target)
            for saved, place in ((moved, source), (former, target)):
                if saved is not None:
                    _copy(saved, place)

        self._pending.append(Change((source.parent, target.parent), (source, target), undo))

    def _note_link(self, real: Callable[..., Any], source: Path, target: Path) -> None:
        real(source, target)
        self._pending.append(Change((target.parent,), (target,), target.unlink))

    def _note_remove(self, real: Callable[..., Any], path: Path) -> bool:
        former = self._save(path)
        done = bool(real(path))
        if former is not None:
            self._pending.append(Change((path.parent,), (path,), lambda: _copy(former, path)))
        return done

    def _note_remove_directory(self, real: Callable[..., Any], path: Path) -> bool:
        done = bool(real(path))
        if done:
            self._pending.append(Change((path.parent,), (path,), path.mkdir))
        return done

    def _note_make_one(self, real: Callable[..., Any], path: Path) -> bool:
        done = bool(real(path))
        if done:
            undo = lambda: shutil.rmtree(path, ignore_errors=True)  # noqa: E731 - one of five
            self._pending.append(Change((path.parent,), (path,), undo))
        return done


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)
    else:
        os.link(source, target)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


Scenario = Callable[[World], Callable[[], None]]
"""Starts the actors, and gives what checks the end."""


def explore(root: Path, scenario: Scenario, *, deviations: int = 2, limit: int = 400, seed: int = 0) -> tuple[int, str]:
    """Run a scenario under many plans: (runs, what went wrong and how; empty when nothing did).

    Plans are tried in the order of how many deviations they have; of those that ``limit`` leaves no room for, a seeded
    choice is tried.
    """
    draw = random.Random(seed)
    plans: list[Plan] = [{}]
    runs = 0
    for depth in range(deviations + 1):
        further: list[Plan] = []
        room = limit - runs
        for plan in plans if len(plans) <= room else draw.sample(plans, max(room, 0)):
            runs += 1
            trace, wrong = _run_one(root / str(runs), scenario, plan)
            if wrong:
                return runs, wrong
            if depth < deviations:
                first = max(plan, default=-1) + 1
                further += [
                    {**plan, number: other} for number in range(first, len(trace)) for other in trace[number][1]
                ]
        plans = further
    return runs, ""


def _run_one(root: Path, scenario: Scenario, plan: Plan) -> tuple[Sequence[tuple[str, tuple[str, ...], str]], str]:
    root.mkdir(parents=True)
    world = World(root, plan)
    wrong = ""
    with world.take_over():
        try:
            check = scenario(world)
            world.run()
            check()
        except Exception as error:  # noqa: BLE001 - any failure is what is looked for
            wrong = f"{type(error).__name__}: {error}\nplan {dict(plan)}\n{world.story()}"
    shutil.rmtree(root, ignore_errors=True)
    return world.trace, wrong
