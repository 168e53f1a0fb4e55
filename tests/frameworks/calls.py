"""One real call on a real framework, with our package attached by a zero-code door, and all it left."""

import fcntl
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from bench.frameworks.provider import Provider
from bench.frameworks.script import GREETING, SCRIPTS
from bench.program import PROGRAM
from otel_voicebot.store import snapshot
from tests.test_content import trigrams

__all__ = ["INSTRUMENT", "TEXTS", "Call", "dumped", "environment", "hold", "kpis", "metric", "once", "rows"]

ROOT: Final = Path(__file__).parents[2]
INSTRUMENT: Final = [str(Path(sys.executable).with_name("opentelemetry-instrument"))]
TEXTS: Final = (GREETING, *(step.text for step in SCRIPTS["call"]))
_TIMEOUT_S: Final = 240


@dataclass(kw_only=True)
class Call:
    """What a call left.

    Attributes:
        completions: of the provider: completions that it gave.
        failures: of the provider: requests that it failed.
        conversation: three words in a row of all that caller and bot said, of prompts, and of what tools were asked
            and gave.
        said: what the bot's program printed.
        log: its standard error.
        service_log: what the service printed that the bot sent to.
        tables: rows that were stored, by place and table.
        metrics: what the service served in the end, series -> value.
        kpis: of `otel-voicebot report --json`, computed from the spans.
    """

    completions: int
    failures: int
    conversation: set[str]
    said: str
    log: str
    service_log: str = ""
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    metrics: dict[Any, float] = field(default_factory=dict)
    kpis: dict[str, dict[str, Any]] = field(default_factory=dict)


def environment(**variables: str) -> dict[str, str]:
    """The environment of a bot; nothing of ours or of OpenTelemetry's is set but what is given."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PIPECAT_"))}
    return {**inherited, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "none", **variables}


def hold(
    bot: str,
    script: str,
    variables: Mapping[str, str],
    wrapper: Sequence[str] = (),
    slower: Mapping[str, float] | None = None,
    options: Sequence[str] = (),
) -> Call:
    """Hold a call to its end, which must be a good one; parts of the provider may be `slower` by some seconds.

    `options` are the bot's own.
    """
    with Provider((step.text for step in SCRIPTS[script]), slower) as provider:
        done = subprocess.run(
            [*wrapper, sys.executable, "-m", f"bench.frameworks.{bot}", script, *options],
            env=environment(OPENAI_BASE_URL=provider.url, **variables),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Call(
            completions=provider.completions,
            failures=provider.failures,
            conversation=set().union(*map(trigrams, (*TEXTS, *provider.texts))),
            said=done.stdout,
            log=done.stderr,
        )


def rows(data: Path, table: str) -> list[dict[str, Any]]:
    """All rows of a table in a data directory."""
    found = snapshot(data, table)
    assert not found.damaged
    read: list[dict[str, Any]] = found.read().to_pylist()
    return read


def kpis(data: Path) -> dict[str, dict[str, Any]]:
    """What the report says of a data directory."""
    command = [sys.executable, "-c", PROGRAM, "report", "--json", "--data", str(data)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, check=True)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)["kpis"]
    return found


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Call]) -> Call:
    """A call that several tests look at is held once, whichever processes they run in."""
    shared = factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    kept = shared / f"{name}.pickle"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            data = shared / name
            data.mkdir()
            call = make(data)
            kept.write_bytes(pickle.dumps(call))
        loaded: Call = pickle.loads(kept.read_bytes())
        return loaded


def dumped(rows_: Sequence[Mapping[str, Any]]) -> str:
    """All that rows hold, as one text."""
    return json.dumps(list(rows_), default=str)


def metric(call: Call, name: str, **labels: str) -> float:
    """What the service counted, over all series with these labels."""
    wanted = set(labels.items())
    return sum(value for (found, series), value in call.metrics.items() if found == name and wanted <= set(series))
