"""A bot's process: calls through the public API, and a way to run a program of its own."""

import os
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import otel_voicebot as vb
from otel_voicebot.store import snapshot

__all__ = ["call", "environment", "run", "scrape", "start", "stored"]

ROOT = Path(__file__).parents[2]
HEAD = """
    import os, sys, threading, time
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    import otel_voicebot as vb
    from tests.app.bots import call, scrape
"""
SPANS_PER_CALL = 5


def call(name: str = "call-1") -> None:
    """A call of one answered exchange: session, turn, stt, chat, tts."""
    with vb.session(bot="bank", channel="phone", session_id=name) as session:
        with vb.turn() as turn:
            now = time.time()
            turn.user_speech(start=now - 2, end=now - 1)
            with vb.stt(provider="ears", model="m") as stt:
                stt.transcript("i want a loan", confidence=0.9)
            with vb.llm(provider="local", model="rules") as llm:
                llm.tokens(input=12, output=20)
            with vb.tts(provider="voice", model="m") as tts:
                tts.text("how much")
            turn.bot_speech_start()
        session.outcome("resolved", intent="loan")


def environment(**variables: str) -> dict[str, str]:
    """The environment of a bot; nothing of ours is set but what is given."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    return {**inherited, "PYTHONPATH": str(ROOT), **variables}


def start(text: str, **variables: str) -> subprocess.Popen[str]:
    """Start a program; its standard input stays open."""
    program = textwrap.dedent(HEAD) + textwrap.dedent(text)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", program],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env=environment(**variables),
    )


def run(text: str, **variables: str) -> tuple[str, list[str]]:
    """Run a program to its end, which must be a good one; gives its output and the lines of its standard error."""
    program = start(text, **variables)
    out, error = program.communicate(timeout=120)
    # A child of fork leaves the parent's query engine alone, which its library remarks upon.
    lines = [line for line in error.splitlines() if not line.startswith(("nanobind: ", " - ", "See http"))]
    assert program.returncode == 0, error
    return out, lines


def scrape(url: str | None) -> dict[str, float]:
    """What is served: series -> value."""
    assert url is not None
    with urllib.request.urlopen(url, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def stored(data: Path) -> list[Mapping[str, str]]:
    """The spans in a store: trace id, span id, name, session id."""
    found = snapshot(data)
    assert not found.damaged
    rows: list[Mapping[str, str]] = found.read(["trace_id", "span_id", "name", "session_id"]).to_pylist()
    return rows
