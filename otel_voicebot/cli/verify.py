"""``otel-voicebot verify``."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from otel_voicebot.cli import output as out
from otel_voicebot.cli.compact import hour_text, opened
from otel_voicebot.cli.options import Data, Json

if TYPE_CHECKING:
    from otel_voicebot.store.compact import Hour

__all__ = ["verify"]

_NO: Final = 1


def verify(
    *,
    data: Data = None,
    json: Json = False,
) -> int:
    """Check every file of a data directory.

    Each is read to its end, with its checksums. History must be sorted, hold no key twice and be sealed. Exit code 1
    when there is trouble; what the next `compact` or `retain` sees to is only mentioned.
    """
    directory = opened(data)
    from otel_voicebot.store.verify import verify as look  # noqa: PLC0415 - not for --help

    def tell(hour: "Hour") -> None:
        out.note(f"reading {hour.table} {hour_text(hour)}")

    found = look(directory, tell=tell)
    if json:
        document = {
            "schema": "otel_voicebot.verify/1",
            **{name: value for name, value in asdict(found).items() if name != "findings"},
            "ok": not found.trouble,
            "findings": [{**asdict(one), "trouble": one.is_trouble} for one in found.findings],
        }
        out.write_json(document, None)
    else:
        lines = [
            f"{'TROUBLE' if one.is_trouble else 'note'}: {one.kind}: {one.path}: {one.detail}" for one in found.findings
        ]
        verdict = f"trouble: {len(found.trouble)}" if found.trouble else "all is well"
        lines.append(f"{found.files} files, {found.rows} rows, {found.bytes / 1e6:.1f} MB: {verdict}")
        out.write("\n".join(lines) + "\n", None)
    return _NO if found.trouble else 0
