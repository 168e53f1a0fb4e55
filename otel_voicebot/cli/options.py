"""The options that verbs share, and what their values mean.

Those that many verbs have together are the fields of a class; a verb that is ``grouped`` takes one as a parameter.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from otel_voicebot.errors import UsageError

if TYPE_CHECKING:
    from otel_voicebot.models import Selection
    from otel_voicebot.reports.periods import Period
    from otel_voicebot.settings import Settings

__all__ = [
    "AsOf",
    "Bot",
    "Channel",
    "Csv",
    "Data",
    "Environment",
    "Format",
    "Intent",
    "Json",
    "Now",
    "Output",
    "PriceFile",
    "Question",
    "Since",
    "Until",
    "Variant",
    "Written",
    "chosen_format",
    "grouped",
    "option",
]

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Directory of the Parquet files. Default: $OTEL_VOICEBOT_DATA, else ./voicebot-data.",
        show_default=False,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        help="Sessions that began at or after this: ISO 8601 (UTC without an offset), or 15m, 24h, 7d ago.",
    ),
]
Until = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Sessions that began before this.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="WHEN",
        help="As it was known then: what ended later (calls, surveys, repeat contacts) is left out. Default: now.",
        show_default=False,
    ),
]
Bot = Annotated[str | None, typer.Option("--bot", metavar="NAME", help="Only this bot.")]
Channel = Annotated[str | None, typer.Option("--channel", metavar="NAME", help="Only this channel.")]
Variant = Annotated[str | None, typer.Option("--variant", metavar="NAME", help="Only this variant.")]
Environment = Annotated[str | None, typer.Option("--environment", metavar="NAME", help="Only this environment.")]
Intent = Annotated[
    str | None, typer.Option("--intent", metavar="NAME", help="Only calls about this (a session's intent).")
]
Format = Annotated[
    Literal["table", "json", "csv", "jsonl", "parquet", "md", "html"] | None,
    typer.Option("--format", help="How to write it. Default: table.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; short for --format json.")]
Csv = Annotated[bool, typer.Option("--csv", help="Short for --format csv.")]
Output = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write there instead of to stdout.")]
PriceFile = Annotated[
    Path | None,
    typer.Option(
        "--prices",
        metavar="FILE",
        help="What speech, lines and models of your own cost (YAML or JSON). Default: $OTEL_VOICEBOT_PRICES.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Question:
    """Which data, and which sessions of it: the options of every verb that reads."""

    data: Data = None
    since: Since = None
    until: Until = None
    bot: Bot = None
    channel: Channel = None
    variant: Variant = None
    environment: Environment = None
    intent: Intent = None
    as_of: AsOf = None

    def settings(self, **overrides: Any) -> "Settings":
        """The settings, with ``--data`` and ``overrides`` on top.

        Raises:
            UsageError: a setting in the environment is wrong.
        """
        from otel_voicebot.settings import load  # noqa: PLC0415 - not for --help

        return load(**({"data": self.data} if self.data is not None else {}), **overrides)

    def period(self, now: datetime) -> "Period":
        """The window that is asked about; raises as ``selection``."""
        return self._window(now)[0]

    def base(self, now: datetime) -> datetime:
        """The moment that the answer is as of, from which ``7d`` counts back.

        Raises:
            UsageError: it can't be read, or lies in the future; or the window is wrong.
        """
        return self._window(now)[1] or now

    def selection(self, now: datetime) -> "Selection":
        """Which sessions are meant. Where it is asked as of a moment, ``7d`` is a week before that moment.

        Raises:
            UsageError: a time can't be read, or lies in the future, or the window is empty.
        """
        from otel_voicebot.models import Selection  # noqa: PLC0415 - not for --help

        period, as_of = self._window(now)
        labels = (self.bot, self.channel, self.variant, self.environment, self.intent)
        return Selection(period.since, period.until, *labels, as_of=as_of)

    def _window(self, now: datetime) -> "tuple[Period, datetime | None]":
        from otel_voicebot.reports.periods import window  # noqa: PLC0415 - not for --help

        return window(self.since, self.until, self.as_of, now, option)


@dataclass(frozen=True, slots=True)
class Without:
    """Of an annotated group: this option it doesn't have."""

    name: str


Now = Annotated[Question, Without("as_of")]
"""A question about how things are."""


@dataclass(frozen=True, slots=True)
class Written:
    """How an answer is written, and where to."""

    format_: Format = None
    json: Json = False
    csv: Csv = False
    output: Output = None

    def kind(self) -> str:
        """The format.

        Raises:
            UsageError: options contradict each other.
        """
        return chosen_format(self.format_, "table", json=self.json, csv=self.csv)


def grouped(verb: Callable[..., int]) -> Callable[..., int]:
    """The verb as the command line sees it: a parameter that is a group of options is all of them, in its place."""
    signature = inspect.signature(verb)
    groups: dict[str, tuple[type, list[str]]] = {}
    shown: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        group, left_out = _group(parameter.annotation)
        if group is None:
            shown.append(parameter)
            continue
        kept = [one for one in fields(group) if one.name not in left_out]
        groups[name] = group, [one.name for one in kept]
        keyword = inspect.Parameter.KEYWORD_ONLY
        shown += [inspect.Parameter(one.name, keyword, default=one.default, annotation=one.type) for one in kept]

    @functools.wraps(verb)
    def run(**given: Any) -> int:
        made = {name: group(**{one: given.pop(one) for one in names}) for name, (group, names) in groups.items()}
        return verb(**given, **made)

    run.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in shown}
    return run


def _group(annotation: Any) -> tuple[Any, list[str]]:
    """The class of a group of options, None of what is none; and those that it is without here."""
    kind, *more = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    return kind if is_dataclass(kind) else None, [one.name for one in more if isinstance(one, Without)]


def option(name: str) -> str:
    """What the command line calls the parameter of this name: ``--as-of`` for ``as_of``."""
    return f"--{name.replace('_', '-')}"


def chosen_format(named: str | None, default: str, **short: bool) -> str:
    """The format that ``--format`` names or that a short flag (``json=True``) stands for.

    Raises:
        UsageError: they contradict each other.
    """
    wanted = {name for name, given in short.items() if given} | ({named} if named else set())
    if len(wanted) > 1:
        msg = f"choose one format, not {' and '.join(sorted(wanted))}"
        raise UsageError(msg)
    return wanted.pop() if wanted else default
