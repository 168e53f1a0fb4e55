"""Where results go: stdout or a file; coloured on a terminal, plain elsewhere; notes to stderr."""

import io
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_voicebot.errors import CannotStartError

if TYPE_CHECKING:
    from rich.console import Console

    from otel_voicebot.reports.grid import Grid
    from otel_voicebot.reports.waterfall import Glyphs, Line

__all__ = [
    "ONE_PART",
    "StdoutError",
    "glyphs",
    "note",
    "picture",
    "terminal",
    "width",
    "write",
    "write_all",
    "write_answer",
    "write_json",
    "write_table",
]

ONE_PART: Final = ("csv", "jsonl", "parquet")
"""Formats that hold one table."""


class StdoutError(CannotStartError):
    """Standard output can't be written to: it is closed, or its disk is full."""


@contextmanager
def _stdout() -> Iterator[None]:
    """Where standard output is written. A reader that leaves (``BrokenPipeError``) is no failure of ours to name."""
    if sys.stdout is None:
        msg = "standard output: it is closed"
        raise StdoutError(msg)
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StdoutError(f"standard output: {error.strerror or error}") from None


def note(text: str) -> None:
    """A remark for people; never in the way of results."""
    if not text.isprintable():
        from otel_voicebot.reports.values import shown  # noqa: PLC0415 - not for --help

        text = "\n".join(map(shown, text.split("\n")))
    print(text, file=sys.stderr)  # noqa: T201 - the program's output


def write(content: str | bytes, output: Path | None) -> None:
    """Results to ``output``, else to stdout, as UTF-8.

    Raises:
        CannotStartError: the file, or standard output, can't be written.
    """
    write_all([content.encode() if isinstance(content, str) else content], output)


def write_all(pieces: Iterable[bytes], output: Path | None) -> None:
    """The same, piece by piece."""
    if output is None:
        with _stdout():
            sys.stdout.flush()
            for piece in pieces:
                sys.stdout.buffer.write(piece)
        return
    try:
        if output.exists() and not output.is_file():
            with output.open("wb") as file:  # a device or a pipe: it must not be replaced by a file
                file.writelines(pieces)
        else:
            _replace(output.resolve(), pieces)
    except BrokenPipeError:
        raise
    except OSError as error:
        msg = f"can't write {output}: {error.strerror or error}"
        raise CannotStartError(msg) from None
    note(f"written: {output}")


def _replace(output: Path, pieces: Iterable[bytes]) -> None:
    """Whoever reads the file sees the old one or the whole new one."""
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(pieces)
        part.replace(output)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_json(document: Mapping[str, object], output: Path | None) -> None:
    """One JSON document."""
    write(json.dumps(document, ensure_ascii=False, indent=2) + "\n", output)


def terminal() -> "Console | None":
    """The terminal that people look at; None where stdout goes to a file or another program."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second

    return Console(highlight=False)


def width() -> int:
    """Columns to draw in."""
    return min(shutil.get_terminal_size((100, 24)).columns, 160)


def glyphs() -> "Glyphs":
    """What the terminal can show."""
    from otel_voicebot.reports.waterfall import ASCII, UNICODE  # noqa: PLC0415 - not for --help

    try:
        (UNICODE.full + UNICODE.before + UNICODE.mark).encode((sys.stdout and sys.stdout.encoding) or "ascii")
    except UnicodeEncodeError:
        return ASCII
    return UNICODE


def write_table(head: Sequence[str], grids: Sequence["Grid"], output: Path | None) -> None:
    """Tables for people, under a few lines that say what they are of."""
    from otel_voicebot.reports.grid import as_rich, as_text  # noqa: PLC0415 - not for --help
    from otel_voicebot.reports.values import shown  # noqa: PLC0415

    head = [shown(line) for line in head]
    console = terminal() if output is None else None
    if console is None:
        write("\n\n".join(["\n".join(head)] * bool(head) + [as_text(grid) for grid in grids]) + "\n", output)
        return
    with _stdout():
        for line in head:
            console.print(line, markup=False)
        for index, grid in enumerate(grids):
            if head or index:
                console.print()
            console.print(as_rich(grid))


def picture(lines: Sequence["Line"]) -> None:
    """A waterfall, on stdout."""
    from otel_voicebot.reports.waterfall import as_rich, as_text  # noqa: PLC0415 - not for --help

    console = terminal()
    if console is None:
        write(as_text(list(lines)) + "\n", None)
    else:
        with _stdout():
            console.print(as_rich(list(lines)), no_wrap=True, overflow="crop", soft_wrap=True)


def write_answer(
    kind: str,
    title: str,
    head: Callable[[], Sequence[str]],
    grids: Callable[[], Sequence["Grid"]],
    document: Callable[[], Mapping[str, object]],
    output: Path | None,
) -> None:
    """What was found, in one of the formats of ``--format``; what a format doesn't show isn't computed.

    Args:
        kind: the format.
        title: of a page.
        head: the lines above the tables.
        grids: the tables; csv, jsonl and parquet hold the first.
        document: what JSON holds.
        output: a file instead of stdout.

    Raises:
        CannotStartError: the file, or standard output, can't be written.
    """
    if kind == "json":
        write_json(document(), output)
    elif kind == "table":
        write_table(head(), grids(), output)
    else:
        write(_grids_as(kind, title, head(), grids()), output)


def _grids_as(kind: str, title: str, head: Sequence[str], grids: Sequence["Grid"]) -> str | bytes:
    """Grids in a machine's format: csv, jsonl and parquet hold one grid, md and html all of them."""
    from otel_voicebot.reports import grid as formats  # noqa: PLC0415 - not for --help

    match kind:
        case "csv":
            return formats.as_csv(grids[0])
        case "jsonl":
            return formats.as_jsonl(grids[0])
        case "parquet":
            return _parquet(grids[0])
        case "md":
            text = "\n".join(formats.as_markdown(grid) for grid in grids)
            return f"# {title}\n\n" + "".join(f"{line}  \n" for line in head) + f"\n{text}"
    return formats.page(title, head, grids)


def _parquet(grid: "Grid") -> bytes:
    import pyarrow.parquet as pq  # noqa: PLC0415 - not for --help

    from otel_voicebot.reports.grid import as_arrow  # noqa: PLC0415

    out = io.BytesIO()
    pq.write_table(as_arrow(grid), out)
    return out.getvalue()
