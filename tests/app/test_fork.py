"""The whole pipeline in a process that forks."""

import socket
from pathlib import Path

import pytest

from tests.app.bots import SPANS_PER_CALL, run, start, stored

FORK = """
    handle = vb.configure(create_provider=True, commit_interval=3600)
    call("parent-1")
    BEFORE
    pid = os.fork()
    if pid == 0:
        assert handle.metrics_url is None
        call("child-1")
        END
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert scrape(handle.metrics_url) and handle.metrics_url
    call("parent-2")
"""


@pytest.mark.parametrize("before", ["", "handle.drain()"], ids=["spans wait", "spans are stored"])
@pytest.mark.parametrize("end", ["sys.exit(0)", "assert handle.flush(); os._exit(0)", "handle.shutdown(); os._exit(0)"])
def test_parent_and_child_store_their_own_spans(tmp_path: Path, before: str, end: str) -> None:
    """Each span is stored once, by the process that made it, in files of its own; both end well."""
    out, errors = run(
        FORK.replace("BEFORE", before).replace("END", end),
        OTEL_VOICEBOT_DATA=str(tmp_path),
        OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0",
    )
    assert (out, errors) == ("", [])
    spans = stored(tmp_path)
    assert len({span["span_id"] for span in spans}) == len(spans) == 3 * SPANS_PER_CALL
    assert {span["session_id"] for span in spans} == {"parent-1", "child-1", "parent-2"}
    writers = {path.name.rpartition("-")[0] for path in tmp_path.glob("hot/spans/*/*/*.parquet")}
    assert len(writers) == 2


def test_a_child_that_leaves_at_once_leaves_nothing_behind(tmp_path: Path) -> None:
    """A child that makes no span and leaves by os._exit neither hangs nor writes; the parent's spans are all there."""
    text = FORK.replace("BEFORE", "").replace('call("child-1")', "").replace("END", "os._exit(0)")
    out, errors = run(text, OTEL_VOICEBOT_DATA=str(tmp_path), OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0")
    assert (out, errors) == ("", [])
    assert len(stored(tmp_path)) == 2 * SPANS_PER_CALL


def test_a_child_does_not_hold_the_port(tmp_path: Path) -> None:
    """When the parent is gone its port is free, while the child lives on."""
    program = start(
        """
        handle = vb.configure(create_provider=True)
        call()
        pid = os.fork()
        if pid == 0:
            print("child", flush=True)
            sys.stdin.read()
            sys.exit(0)
        print(handle.metrics_url.split(":")[2].split("/")[0], flush=True)
        """,
        OTEL_VOICEBOT_DATA=str(tmp_path),
        OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0",
    )
    assert program.stdout is not None
    port = next(int(line) for line in sorted(program.stdout.readline() for _ in range(2)))
    assert program.wait(timeout=60) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))
        free.listen()
    program.communicate(timeout=60)
