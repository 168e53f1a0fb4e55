"""``otel-voicebot doctor``."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish, nothing
from otel_voicebot.cli.options import (
    Bot,
    Channel,
    Data,
    Environment,
    Json,
    Output,
    Question,
    Since,
    Until,
    Variant,
)
from otel_voicebot.errors import UsageError

if TYPE_CHECKING:
    from otel_voicebot.reports.doctor import Diagnosis
    from otel_voicebot.reports.findings import Finding

__all__ = ["doctor"]

_NO = 1


def doctor(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[DIR | FILE...]", help="A data directory, or OTLP files. Default: --data.", show_default=False
        ),
    ] = None,
    *,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="URL", help="Ask a running service by its /metrics.", show_default=False),
    ] = None,
    data: Data = None,
    since: Since = None,
    until: Until = None,
    bot: Bot = None,
    channel: Channel = None,
    variant: Variant = None,
    environment: Environment = None,
    json: Json = False,
    output: Output = None,
) -> int:
    """Is what comes in enough to tell how calls go?

    Says which framework and version writes the spans, which expected fields are there, missing, renamed or new, what
    to switch on in the framework, and whether spans are missing (sampling) or clocks disagree. Exit code 1 when turns
    can't be derived or KPIs would be wrong.
    """
    if endpoint is not None:
        if paths or data:
            raise UsageError("name a directory or --endpoint, not both")
        return _ask_service(endpoint, output, json=json)
    files = [path for path in paths or [] if path.is_file()]
    with _directory(paths or [], data) as (directory, extra):
        found = _look(Question(directory, since, until, bot, channel, variant, environment), extra)
    if not found.frameworks:
        raise nothing(found.scope, "spans")
    if files:
        found = replace(found, scope=replace(found.scope, data=", ".join(map(str, files))))
    _write(found, output, json=json)
    return finish(found.scope) or (0 if found.ok else _NO)


def _ask_service(endpoint: str, output: Output, *, json: bool) -> int:
    from otel_voicebot.reports import service  # noqa: PLC0415 - not for --help

    found = service.ask(endpoint)
    if json:
        out.write_json(service.document(found), output)
    else:
        out.write_table(service.head(found), service.grids(found), output)
    return 0 if found.ok else _NO


def _look(question: Question, extra: "Sequence[Finding]") -> "Diagnosis":
    from otel_voicebot.app.policy import policy_of  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports import doctor as report  # noqa: PLC0415
    from otel_voicebot.reports import source  # noqa: PLC0415

    settings, now = question.settings(), datetime.now(UTC)
    dialects = policy_of(settings).dialects
    return source.ask(
        settings.data, question.selection(now), now, lambda opened: report.compute(opened, dialects, extra)
    )


def _write(found: "Diagnosis", output: Output, *, json: bool) -> None:
    from otel_voicebot.reports import doctor as report  # noqa: PLC0415 - not for --help

    if json:
        out.write_json(report.document(found), output)
    else:
        out.write_table(report.head(found), report.grids(found), output)


@contextmanager
def _directory(paths: Sequence[Path], data: Path | None) -> "Iterator[tuple[Path | None, list[Finding]]]":
    """The directory that is meant; of OTLP files one that is gone afterwards, and what of them couldn't be kept."""
    if not paths:
        yield data, []
        return
    if data is not None:
        raise UsageError("name a directory as argument or with --data, not both")
    if len(paths) == 1 and not paths[0].is_file():
        yield paths[0], []
        return
    if wrong := [path for path in paths if not path.is_file()]:
        raise UsageError(f"not a file: {', '.join(map(str, wrong))}")
    with tempfile.TemporaryDirectory(prefix="otel-voicebot-doctor-") as kept:
        yield Path(kept), _take_in(paths, Path(kept))


def _take_in(files: Sequence[Path], directory: Path) -> "list[Finding]":
    """Files go through the pipeline that everything goes through.

    Raises:
        UnreadableDataError: one is no OTLP.
    """
    from otel_voicebot import app  # noqa: PLC0415 - not for --help
    from otel_voicebot.receivers import payloads  # noqa: PLC0415
    from otel_voicebot.reports.findings import of_unread  # noqa: PLC0415

    settings = Question(directory).settings()
    requests = (request for path in files for request in payloads(path, note=out.note))
    done = app.ingest(requests, settings)
    return of_unread(done.rejected.items())
