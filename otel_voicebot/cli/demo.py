"""``otel-voicebot demo``."""

import math
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.options import Data, Json, Question
from otel_voicebot.cli.progress import Calls
from otel_voicebot.cli.trace import show
from otel_voicebot.errors import NoDataError, UsageError

if TYPE_CHECKING:
    from otel_voicebot.demo.results import CallResult, DemoResult
    from otel_voicebot.reports.report import Report
    from otel_voicebot.reports.source import Opened
    from otel_voicebot.reports.trace import Trace
    from otel_voicebot.settings import Settings

__all__ = ["demo"]


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        msg = f"{value} is neither decibels nor seconds: --snr and --linger take a number"
        raise UsageError(msg)
    return value


def demo(
    *,
    calls: Annotated[
        int | None,
        typer.Option("--calls", min=1, metavar="N", help="How many. Default: each call once.", show_default=False),
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, metavar="N", help="Calls at a time.")] = 6,
    snr: Annotated[
        float | None,
        typer.Option(
            "--snr",
            metavar="DB",
            callback=_finite,
            help="White noise so far below the callers' voices.",
            show_default="clean",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of waiting times and noise.")] = 1,
    fast: Annotated[bool, typer.Option("--fast", help="Not in real time: latencies mean nothing then.")] = False,
    data: Data = None,
    metrics_addr: Annotated[
        str | None,
        typer.Option(
            "--metrics-addr",
            metavar="HOST:PORT",
            help="Where /metrics is served; port 0 picks one.",
            show_default=False,
        ),
    ] = None,
    capture_content: Annotated[bool, typer.Option("--capture-content", help="Store what was said, too.")] = False,
    linger: Annotated[
        float,
        typer.Option(
            "--linger",
            min=0,
            metavar="SECONDS",
            callback=_finite,
            help="Keep /metrics up so long after the last call.",
        ),
    ] = 0,
    json: Json = False,
) -> int:
    """Real spoken calls with a bank's voicebot.

    Callers speak, a recogniser listens, a dialogue answers through a synthesiser; some calls end badly on purpose. Ends
    with the KPIs, the slowest turn, where the data lies, and a picture of the turn latencies.
    """
    overrides: dict[str, Any] = {"metrics_addr": metrics_addr} if metrics_addr is not None else {}
    overrides |= {"capture_content": True} if capture_content else {}
    settings = Question(data).settings(**overrides)
    from otel_voicebot.app.configuring import configure  # noqa: PLC0415 - not for --help
    from otel_voicebot.demo.run import run  # noqa: PLC0415
    from otel_voicebot.store import SpanStore  # noqa: PLC0415

    SpanStore(settings.data)  # a directory that can't be written to is better known before the calls than after
    began = datetime.now(UTC)
    pipeline = configure(settings, create_provider=True, resource_attributes=_RESOURCE)
    try:
        _say_where(settings, pipeline.metrics_url)
        with Calls(calls, texts=settings.capture_content) as watcher:
            held = run(calls, concurrency, snr, seed, real_time=not fast, on_progress=watcher)
        out.note("the calls are over; writing what they left")
        if not pipeline.drain(_DRAIN_S):
            out.note(f"writing takes longer than {_DRAIN_S:g} s; what follows may lack the last spans")
        found = _look(settings, began)
        if json:
            out.write_json(_document(held, found, pipeline.metrics_url, texts=settings.capture_content), None)
        else:
            _print(held, found)
        if linger:
            out.note(f"{pipeline.metrics_url or 'nothing'} is served for {linger:g} s more")
            time.sleep(linger)
    finally:
        pipeline.shutdown(_DRAIN_S)
    return 0


_RESOURCE: Final = {"service.name": "bank-voicebot", "deployment.environment.name": "demo"}
_DRAIN_S: Final = 30.0
_PICTURE: Final = "turn-latencies.png"


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look into the data gives."""

    report: "Report"
    slowest: "Trace | None"
    data: Path
    picture: Path | None


def _say_where(settings: "Settings", url: str | None) -> None:
    if url:
        out.note(f"metrics while the calls run: curl {url}")
    elif settings.metrics_addr:
        out.note(f"no metrics at {settings.metrics_addr}; the calls go on (another port: --metrics-addr 127.0.0.1:0)")
    out.note(f"spans go to {settings.data}")


def _look(settings: "Settings", began: datetime) -> _Found:
    """The report of this run, its slowest turn and the picture: read from the files, as anyone would."""
    from otel_voicebot.models import Selection  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports import charts, report, slow, trace  # noqa: PLC0415
    from otel_voicebot.reports.exchanges import InMemory  # noqa: PLC0415
    from otel_voicebot.reports.source import ask  # noqa: PLC0415

    def look(opened: "Opened") -> _Found:
        turns = opened.engine.table("turns")
        slowest = slow.compute(InMemory(turns, opened.scope), slow.Choice(limit=1)).turns
        worst = None
        if slowest:
            session, turn = str(slowest[0]["session_id"]), slowest[0]["turn_index"]
            spans, of_call = opened.spans_of(session), opened.engine.turns_of([session])
            worst = trace.compute(spans, opened.scope, session, turn if isinstance(turn, int) else None, of_call)
        try:
            picture = charts.turn_latencies(turns, settings.data / "pictures" / _PICTURE)
        except NoDataError:
            picture = None
        return _Found(report.compute(opened.engine, opened.scope), worst, settings.data, picture)

    return ask(settings.data, Selection(since=began), datetime.now(UTC), look)


def _print(held: "DemoResult", found: _Found) -> None:
    from otel_voicebot.reports.report import grids, head  # noqa: PLC0415 - not for --help

    sections = grids(found.report)
    out.write_table([*head(found.report), _conditions(held)], [sections["kpis"], sections["outcomes"]], None)
    if found.slowest is not None:
        out.write("\nThe slowest turn\n", None)
        show(found.slowest)
    wer = "unknown" if held.wer is None else f"{held.wer:.3f}"
    lines = [
        f"word error rate  {wer} ({held.wer_errors} of {held.wer_words} words wrong)",
        f"Parquet data     {found.data / 'hot'}",
        f"picture          {found.picture or 'none: no turn has a wait'}",
        "",
        "next",
        *(f"  {_program()} {command}" for command in _next(found)),
    ]
    out.write("\n" + "\n".join(lines) + "\n", None)


def _program() -> str:
    """How this program can be called from here: by its name where that is found, else as it was called."""
    called = Path(sys.argv[0])
    return called.name if shutil.which(called.name) else sys.argv[0]


def _conditions(held: "DemoResult") -> str:
    noise = "no noise" if held.snr_db is None else f"white noise at {held.snr_db:g} dB"
    clock = "real time" if held.speed == 1 else f"{held.speed:g} times as fast as real time, so latencies mean nothing"
    calls = "1 call" if len(held.calls) == 1 else f"{len(held.calls)} calls"
    return f"{calls} in {held.seconds:.0f} s, {clock}, {noise}, the bot's voice is {held.voice}"


def _next(found: _Found) -> list[str]:
    data = "" if found.data == Path("voicebot-data") else f" --data {found.data}"
    commands = [f"report{data}", f"slow{data}", f"export turns --format csv{data} --output turns.csv"]
    return (
        commands
        if found.slowest is None
        else [*commands, f"trace {found.slowest.session_id}{data} --html --output call.html"]
    )


def _document(held: "DemoResult", found: _Found, url: str | None, *, texts: bool) -> dict[str, object]:
    from otel_voicebot.reports import report, trace  # noqa: PLC0415 - not for --help

    return {
        "schema": "otel_voicebot.demo/1",
        "data": str(found.data),
        "picture": str(found.picture) if found.picture else None,
        "metrics_url": url,
        "seconds": held.seconds,
        "speed": held.speed,
        "voice": held.voice,
        "snr_db": held.snr_db,
        "wer": {"value": held.wer, "errors": held.wer_errors, "words": held.wer_words},
        "calls": [_call(call, texts=texts) for call in held.calls],
        "report": report.document(found.report),
        "slowest_turn": trace.document(found.slowest) if found.slowest else None,
    }


def _call(call: "CallResult", *, texts: bool) -> dict[str, Any]:
    """One call; what was said in it only where texts may be kept."""
    document = asdict(call)
    if not texts:
        for utterance in document["utterances"]:
            del utterance["reference"], utterance["hypothesis"]
    return document
