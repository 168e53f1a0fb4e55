"""``otel-voicebot doctor``."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_voicebot.cli import output as out
from otel_voicebot.cli.asking import finish, nothing
from otel_voicebot.cli.options import Json, Now, Output, Question, grouped
from otel_voicebot.errors import NoDataError, UnreadableDataError, UsageError

if TYPE_CHECKING:
    from otel_voicebot.receivers.requests import Request
    from otel_voicebot.reports.doctor import Diagnosis
    from otel_voicebot.reports.findings import Finding

__all__ = ["doctor"]

_NO = 1


@grouped
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
    question: Now,
    json: Json = False,
    output: Output = None,
) -> int:
    """Is what comes in enough to tell how calls go?

    Says which framework and version writes the spans, which expected fields are there, missing, renamed or new, what
    to switch on in the framework, and whether spans are missing (sampling) or clocks disagree. Exit code 1 when turns
    can't be derived or KPIs would be wrong.
    """
    if endpoint is not None:
        if paths or question.data:
            raise UsageError("name a directory or --endpoint, not both")
        return _ask_service(endpoint, output, json=json)
    with _taken(paths or [], question.data) as taken:
        found = _look(replace(question, data=taken.directory), taken)
    if not found.frameworks:
        raise nothing(found.scope, "spans")
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


def _look(question: Question, taken: "_Taken") -> "Diagnosis":
    from otel_voicebot.app.policy import policy_of  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports import doctor as report  # noqa: PLC0415
    from otel_voicebot.reports import source  # noqa: PLC0415
    from otel_voicebot.reports.scope import Unreadable  # noqa: PLC0415

    settings, now = question.settings(), datetime.now(UTC)
    dialects = policy_of(settings).dialects
    try:
        found = source.ask(
            settings.data,
            question.selection(now),
            now,
            lambda opened: report.compute(opened, dialects, taken.findings),
            cut=False,
        )
    except NoDataError:
        if taken.unreadable:
            raise UnreadableDataError("; ".join(taken.unreadable.values()), tuple(taken.unreadable)) from None
        if taken.files:
            raise NoDataError(f"no spans in {_listed(taken.files)}") from None
        raise
    if not taken.files:
        return found
    unreadable = tuple(Unreadable(path, reason) for path, reason in taken.unreadable.items())
    return replace(found, scope=replace(found.scope, data=_listed(taken.files), unreadable=unreadable))


def _listed(files: Sequence[Path]) -> str:
    return ", ".join(map(str, files))


def _write(found: "Diagnosis", output: Output, *, json: bool) -> None:
    from otel_voicebot.reports import doctor as report  # noqa: PLC0415 - not for --help

    if json:
        out.write_json(report.document(found), output)
    else:
        out.write_table(report.head(found), report.grids(found), output)


@dataclass(frozen=True)
class _Taken:
    """What is looked at: a data directory, or one that holds what OTLP files hold.

    Attributes:
        directory: None is that of the settings.
        files: the OTLP files.
        findings: what of them can't be kept.
        unreadable: files that can't be read to their end, and why.
    """

    directory: Path | None
    files: Sequence[Path] = ()
    findings: "Sequence[Finding]" = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def _taken(paths: Sequence[Path], data: Path | None) -> Iterator[_Taken]:
    """What is meant; the directory of OTLP files is gone afterwards."""
    if not paths:
        yield _Taken(data)
        return
    if data is not None:
        raise UsageError("name a directory as argument or with --data, not both")
    if len(paths) == 1 and not paths[0].is_file():
        yield _Taken(paths[0])
        return
    if wrong := [path for path in paths if not path.is_file()]:
        raise UsageError(f"not a file: {_listed(wrong)}")
    with tempfile.TemporaryDirectory(prefix="otel-voicebot-doctor-") as kept:
        yield _taken_in(paths, Path(kept))


def _taken_in(files: Sequence[Path], directory: Path) -> _Taken:
    """Files go through the pipeline that everything goes through."""
    from otel_voicebot.app.ingest import ingest  # noqa: PLC0415 - not for --help
    from otel_voicebot.receivers import payloads  # noqa: PLC0415
    from otel_voicebot.reports.findings import of_unread  # noqa: PLC0415

    unreadable: dict[str, str] = {}

    def requests() -> "Iterator[Request]":
        for path in files:
            try:
                yield from payloads(path, note=out.note)
            except UnreadableDataError as error:
                unreadable[str(path)] = str(error)

    done = ingest(requests(), Question(directory).settings())
    return _Taken(directory, files, of_unread(done.rejected.items()), unreadable)
