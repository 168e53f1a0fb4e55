"""Writes the dashboards: ``python -m grafana.generate``.

With ``--check`` nothing is written; the exit code is 1, and the stale files are named, when a file and the code differ.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.business import BUSINESS, QUALITY
from grafana.calls import LATENCY, OVERVIEW
from grafana.operations import BOTS, COST
from grafana.panels import Sheet, sheet
from grafana.pipeline import PIPELINE

__all__ = ["DIRECTORY", "SHEETS", "main"]

DIRECTORY: Final = Path(__file__).parent / "dashboards"
SHEETS: Final[tuple[Sheet, ...]] = (OVERVIEW, LATENCY, BUSINESS, COST, QUALITY, BOTS, PIPELINE)


def text(found: Sheet) -> str:
    """The JSON of a dashboard."""
    return json.dumps(sheet(found).build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with ``--check`` compare them; returns the exit code."""
    stale = []
    for found in SHEETS:
        path, wanted = DIRECTORY / f"{found.uid}.json", text(found)
        if path.is_file() and path.read_text(encoding="utf-8") == wanted:
            continue
        stale.append(path.name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted, encoding="utf-8")
    left = {path.name for path in DIRECTORY.glob("*.json")} - {f"{found.uid}.json" for found in SHEETS}
    if "--check" in arguments and (stale or left):
        sys.stderr.write(f"dashboards are stale: {', '.join([*stale, *sorted(left)])}; run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
