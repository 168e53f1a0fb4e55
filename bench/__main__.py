"""``python -m bench [NAME...]``: run the benchmarks, print what was measured, and ratios against their targets."""

import argparse
import compileall
import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.status import Status

import otel_voicebot
from bench.figures import Section, as_dict, show

BENCHMARKS: Final = {
    "bot": "what a span costs in the bot, beside the stock processor",
    "ingest": "spans per second through decode, processors, rows, commit and the live tick, on one core",
    "normalise": "what reading spans with the frameworks' tables costs, beside decode and commit",
    "compact": "time, memory and size of merging a closed hour of 10 M spans",
    "load": "the service beside a real Collector on the same OTLP load: spans per core-second, memory, time to an ack",
    "steady": "the service at 10,000 spans/s in large and in small requests: share of a core, memory, time to an ack",
    "faults": "a real Collector and the service under load, with faults: what is lost, what is counted twice",
    "loop": "real Pipecat calls with and without us: the event loop's delay, the caller's gaps",
    "slow": "time and memory of `otel-voicebot slow` and `why` over a day of 10 M spans",
    "attribution": "generated exchanges whose causes are known: how much of the wait is given to a wrong one",
    "lookup": "a trace by its id in a store of 100 M spans, over the web port; what the index takes and costs",
    "segments": "waits cut into segments a second, at once and tick by tick",
    "compare": "simulated experiments: how often `compare` finds what is not there, and what is",
    "engines": "a report's sections by DuckDB, Spark and ClickHouse: the time of each, and values that differ",
    "anomalies": "simulated days: how often `anomalies` finds what is not there, and how soon what is",
    "kpis": "time and memory of the full report over a day of 10 M spans, from stored rows and from spans alone",
    "month": "time and memory of the report over 100 M spans",
    "report": "time and memory of `otel-voicebot report` over 1 M spans",
}

LONG: Final = frozenset({"engines", "faults", "lookup", "loop", "month", "steady"})
"""Run only when named: 20 minutes each; `lookup` 10, and 5 GB of disk; `month` 25, and 11 GB; `engines`
needs Java, pyspark and chdb; `steady` (3) because `load` has a part of it."""


def main() -> int:
    """Run what was asked for; 1 when `--check` is given and a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Paired measurements; see bench/README.md.",
        epilog="\n".join(f"{name}: {what}" for name, what in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="which: " + ", ".join(BENCHMARKS) + f" (all but {', '.join(sorted(LONG))})",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repetitions, for a first look")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    # As an installation does. Where bytecode may not be written, each process would compile what it loads: 0.15 s.
    compileall.compile_dir(Path(otel_voicebot.__file__).parent, quiet=2)
    sections = []
    with Console(stderr=True).status("bench") as status:
        for name in options.names or [name for name in BENCHMARKS if name not in LONG]:
            run: Callable[..., Section] = import_module(f"bench.{name}").run
            sections.append(run(quick=options.quick, tell=_teller(status)))
            if not options.json:
                show(sections[-1], Console())
    if options.json:
        json.dump({section.name: as_dict(section) for section in sections}, sys.stdout, indent=1)
        print()
    missed = [figure.name for section in sections for figure in section.figures if figure.met is False]
    return 1 if options.check and missed else 0


def _teller(status: Status) -> Callable[[str], None]:
    """Progress on stderr: a spinner on a terminal, a line a step elsewhere."""

    def tell(text: str) -> None:
        status.update(text)
        if not status.console.is_terminal:
            status.console.print(text)

    return tell


if __name__ == "__main__":
    sys.exit(main())
