"""The command line: ``otel-voicebot VERB``. One file a verb; this one lists them and turns errors into exit codes.

Exit codes: 0 done; 1 the answer is no; 2 wrong usage; 3 no data for the question; 4 data that can't be read (what can
be read is printed, the bad file is named); 5 the service can't be reached; 6 can't start or write; 70 a defect of ours.

Verb modules import what is heavy (engine, Arrow, charts) inside their functions, so that ``--help`` is quick.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer

from otel_voicebot.cli import (
    compact,
    compare,
    demo,
    doctor,
    export,
    failures,
    import_,
    logs,
    report,
    retain,
    schema,
    serve,
    slow,
    sql,
    trace,
    verify,
    why,
)

__all__ = ["VERBS", "command", "main"]

VERBS: Final[tuple[tuple[str, Callable[..., object]], ...]] = (
    ("demo", demo.demo),
    ("serve", serve.serve),
    ("report", report.report),
    ("slow", slow.slow),
    ("why", why.why),
    ("trace", trace.trace),
    ("logs", logs.logs),
    ("compare", compare.compare),
    ("doctor", doctor.doctor),
    ("import", import_.import_),
    ("export", export.export),
    ("compact", compact.compact),
    ("retain", retain.retain),
    ("verify", verify.verify),
    ("schema", schema.schema),
    ("sql", sql.sql),
)

NAME: Final = "otel-voicebot"


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - reads the disk

        try:
            number = version(NAME)
        except PackageNotFoundError:
            number = "(not installed, run from its source)"
        typer.echo(f"{NAME} {number}")
        raise typer.Exit


def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Where does a voicebot lose its callers' time? Calls, turns and KPIs from OpenTelemetry spans.

    Start with `otel-voicebot demo`: real spoken calls, metrics while they run, a report at their end.
    """


def command() -> typer.Typer:
    """The whole command line, with help made of the verbs' docstrings."""
    app = typer.Typer(
        name=NAME,
        callback=_root,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    for name, verb in VERBS:
        app.command(name)(verb)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` when None) and return its exit code. Never raises but for a signal."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        run = typer.main.get_command(command())
        code = run.main(args=words, prog_name=NAME, standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        return failures.reader_left()
    except Exception as error:  # noqa: BLE001 - the last stop: everything becomes a sentence and an exit code
        return failures.explain(error, words)
    return code if isinstance(code, int) else 0
