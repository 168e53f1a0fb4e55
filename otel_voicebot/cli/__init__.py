"""The command line: ``otel-voicebot VERB``. One file a verb; this one lists them and turns errors into exit codes.

Exit codes: 0 done; 1 the answer is no; 2 wrong usage; 3 no data for the question; 4 data that can't be read (what can
be read is printed, the bad file is named); 5 the service can't be reached; 6 can't start or write; 70 a defect of ours.

Verb modules import what is heavy (engine, Arrow, charts) inside their functions, so that ``--help`` is quick.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

from otel_voicebot.cli import failures

__all__ = ["VERBS", "alone", "command", "main", "verb"]

GROUPS: Final = {"slo": "Service level objectives for Prometheus."}
"""Verbs of two words, by the first."""

VERBS: Final = (
    ("demo", "demo.demo"),
    ("serve", "serve.serve"),
    ("report", "report.report"),
    ("slow", "slow.slow"),
    ("why", "why.why"),
    ("trace", "trace.trace"),
    ("logs", "logs.logs"),
    ("compare", "compare.compare"),
    ("anomalies", "anomalies.anomalies"),
    ("doctor", "doctor.doctor"),
    ("import", "import_.import_"),
    ("export", "export.export"),
    ("compact", "compact.compact"),
    ("retain", "retain.retain"),
    ("verify", "verify.verify"),
    ("schema", "schema.schema"),
    ("sql", "sql.sql"),
    ("slo compile", "slo.compile_"),
    ("orchestrator-log", "orchestrator_log.orchestrator_log"),
    ("monitor-session", "monitor_session.monitor_session"),
    ("analytics-report", "analytics_report.analytics_report"),
    ("threshold-alert", "threshold_alert.threshold_alert"),
    ("business-dashboard", "business_dashboard.business_dashboard"),
)
"""Each with the module and function that runs it: only what is asked for is loaded."""

NAME: Final = "otel-voicebot"
_CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


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


def _app(name: str, text: str | None = None) -> typer.Typer:
    return typer.Typer(
        name=name,
        help=text,
        add_completion=False,
        no_args_is_help=name in (NAME, *GROUPS),
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_CONTEXT,
    )


def verb(name: str) -> Callable[..., object]:
    """The function of a verb."""
    module, _, function = dict(VERBS)[name].partition(".")
    found: Callable[..., object] = getattr(import_module(f"{__name__}.{module}"), function)
    return found


def command(words: Sequence[str] = ()) -> typer.Typer:
    """The whole command line, with help made of the verbs' docstrings; for words that begin with a verb only that."""
    app = _app(NAME)
    app.callback()(_root)
    groups = {name: _app(name, text) for name, text in GROUPS.items()}
    for group in groups.values():
        app.add_typer(group)
    names = [name for name, _ in VERBS]
    for name in [words[0]] if words and words[0] in names else names:
        first, _, second = name.partition(" ")
        (groups[first] if second else app).command(second or first)(verb(name))
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` when None) and return its exit code. Never raises but for a signal."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _run(lambda: command(words), NAME, words, words)


def alone(name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a verb as a program of its own name: ``monitor-session …`` for ``otel-voicebot monitor-session …``."""
    words = list(sys.argv[1:] if arguments is None else arguments)

    def only() -> typer.Typer:
        app = _app(name)
        app.command(name, context_settings=_CONTEXT)(verb(name))
        return app

    return _run(only, name, words, [name, *words])


def _run(app: Callable[[], typer.Typer], name: str, words: list[str], said: list[str]) -> int:
    """Run a program; ``said`` is the same command line of the whole one, for what is told of an error."""
    try:
        run = typer.main.get_command(app())
        code = run.main(args=words, prog_name=name, standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # typer makes an exit with 1 of a broken pipe: here that means no
        return failures.reader_left()
    except Exception as error:  # noqa: BLE001 - the last stop: everything becomes a sentence and an exit code
        return failures.explain(error, said)
    return code if isinstance(code, int) else 0
