"""configure(): beside what the bot has of its own, never in its way."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import otel_voicebot as vb
from otel_voicebot.errors import UsageError
from tests.app.bots import SPANS_PER_CALL, run, scrape, start, stored

OWN = """
    own = InMemorySpanExporter()
    def set_up():
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(own))
        trace.set_tracer_provider(provider)
    ORDER
    provider = trace.get_tracer_provider()
    call()
    assert handle.flush()
    for span in own.get_finished_spans():
        print(f"{span.context.trace_id:032x} {span.context.span_id:016x}")
    assert trace.get_tracer_provider() is provider
    assert handle.shutdown()
    assert handle.shutdown()
    own.clear()
    call("later")
    assert len(own.get_finished_spans()) == 5
"""


@pytest.mark.parametrize("order", ["set_up(); handle = vb.configure()", "handle = vb.configure(); set_up()"])
def test_beside_an_exporter_of_the_bot(tmp_path: Path, order: str) -> None:
    """Set up before or after us, the bot's exporter gets the same spans, and goes on when we are shut down."""
    out, errors = run(OWN.replace("ORDER", order), OTEL_VOICEBOT_DATA=str(tmp_path), OTEL_VOICEBOT_METRICS_ADDR="none")
    assert errors == []
    assert {tuple(line.split()) for line in out.splitlines()} == {
        (span["trace_id"], span["span_id"]) for span in stored(tmp_path)
    }
    assert len(stored(tmp_path)) == SPANS_PER_CALL


def test_a_second_configure_changes_nothing(tmp_path: Path) -> None:
    """It gives the first handle, warns of other settings, and nothing counts twice; after a shutdown it is new."""
    out, errors = run(
        """
        first = vb.configure(create_provider=True)
        assert vb.configure() is first
        assert vb.configure(commit_interval=1) is first
        call()
        assert first.drain()
        print(scrape(first.metrics_url)['voicebot_sessions_total{bot="bank",channel="phone",environment="",outcome="resolved",variant=""}'])
        first.shutdown()
        assert first.metrics_url is None
        second = vb.configure()
        assert second is not first and second.metrics_url
        call("call-2")
        """,
        OTEL_VOICEBOT_DATA=str(tmp_path),
        OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0",
    )
    assert out == "1.0\n"
    assert len(errors) == 1
    assert "configure() was called before" in errors[0]
    assert len({span["span_id"] for span in stored(tmp_path)}) == len(stored(tmp_path)) == 2 * SPANS_PER_CALL


def test_nothing_is_lost_at_a_normal_exit(tmp_path: Path) -> None:
    """A bot that never calls shutdown has all its spans, turns and sessions on disk."""
    out, errors = run(
        "vb.configure(create_provider=True, commit_interval=3600)\ncall()",
        OTEL_VOICEBOT_DATA=str(tmp_path),
        OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0",
    )
    assert (out, errors) == ("", [])
    assert len(stored(tmp_path)) == SPANS_PER_CALL
    assert [path.parts[-4] for path in sorted(tmp_path.glob("hot/*/*/*/*.parquet"))] == ["sessions", "spans", "turns"]


def test_one_port_serves_the_bots_instruments_and_ours(tmp_path: Path) -> None:
    """OpenTelemetry instruments, prometheus_client metrics, our derived metrics and our own: one scrape."""
    out, errors = run(
        """
        from prometheus_client import Counter
        Counter("mine", "the bot's own").inc(3)
        handle = vb.configure(create_provider=True, resource_attributes={"deployment.environment.name": "test"})
        metrics.get_meter("bot").create_counter("bot.greetings").add(2)
        call()
        assert handle.drain()
        for series, value in scrape(handle.metrics_url).items():
            print(series, value)
        """,
        OTEL_VOICEBOT_DATA=str(tmp_path),
        OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0",
    )
    assert errors == []
    series = dict(line.rsplit(" ", 1) for line in out.splitlines())
    assert float(series["mine_total"]) == 3
    assert float(next(value for name, value in series.items() if name.startswith("bot_greetings_total"))) == 2
    turns = 'voicebot_turns_total{bot="bank",channel="phone",environment="test",outcome="answered",variant=""}'
    assert float(series[turns]) == 1
    assert float(series["voicebot_spans_committed_total"]) == SPANS_PER_CALL


WAITING = """
    handle = vb.configure(create_provider=True)
    call(f"call-{os.getpid()}")
    assert handle.flush()
    failures = handle.metrics.read().get(("voicebot.pipeline.failures", "metrics_port"), 0)
    print(handle.metrics_url, int(failures), flush=True)
    sys.stdin.read()
"""


def test_a_second_process_on_the_same_port_runs_on(tmp_path: Path) -> None:
    """It says so in one sentence with the address, counts it, and stores its spans; the first one serves on."""
    first = start(WAITING, OTEL_VOICEBOT_DATA=str(tmp_path), OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0")
    assert first.stdout is not None
    url, failures = first.stdout.readline().split()
    assert failures == "0"
    address = re.search(r"127\.0\.0\.1:\d+", url)
    assert address is not None
    out, errors = run(WAITING, OTEL_VOICEBOT_DATA=str(tmp_path), OTEL_VOICEBOT_METRICS_ADDR=address.group())
    assert out == "None 1\n"
    assert len(errors) == 1
    assert f"metrics can't be served at {address.group()}: Address already in use" in errors[0]
    assert "OTEL_VOICEBOT_METRICS_ADDR" in errors[0]
    assert scrape(url)["voicebot_spans_committed_total"] == SPANS_PER_CALL
    _, error = first.communicate(timeout=60)
    assert (first.returncode, error) == (0, "")
    assert len(stored(tmp_path)) == 2 * SPANS_PER_CALL


@pytest.mark.parametrize("address", ["..:8000", "no.such.host.invalid:8000", "192.0.2.1:8000"])
def test_an_address_that_is_not_ours_is_a_warning(tmp_path: Path, address: str) -> None:
    """A host that can't be resolved or isn't this machine's costs the endpoint, not the bot."""
    out, errors = run(
        "print(vb.configure(create_provider=True).metrics_url)\ncall()",
        OTEL_VOICEBOT_DATA=str(tmp_path),
        OTEL_VOICEBOT_METRICS_ADDR=address,
    )
    assert out == "None\n"
    assert len(errors) == 1
    assert f"metrics can't be served at {address}" in errors[0]
    assert len(stored(tmp_path)) == SPANS_PER_CALL


def test_a_metric_of_the_same_name_is_a_warning(tmp_path: Path) -> None:
    """Where the bot has registered a metric with a name of ours, configure goes on without our metrics."""
    _, errors = run(
        """
        from prometheus_client import Counter
        Counter("voicebot_turns", "the bot's own").inc()
        handle = vb.configure(create_provider=True)
        call()
        assert scrape(handle.metrics_url)["voicebot_turns_total"] == 1
        """,
        OTEL_VOICEBOT_DATA=str(tmp_path),
        OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0",
    )
    assert len(errors) == 1
    assert "metrics failed with DuplicateTimeseries" in errors[0]
    assert len(stored(tmp_path)) == SPANS_PER_CALL


def test_a_disk_that_refuses_costs_nothing_once_it_is_back(tmp_path: Path) -> None:
    """Without a writable directory bot and metrics go on, with one warning; when it is back, all spans are stored."""
    data = tmp_path / "data"
    data.write_text("a file is in the way")
    out, errors = run(
        """
        handle = vb.configure(create_provider=True, commit_interval=0.1, tick_interval=0.1)
        call()
        assert not handle.drain()
        time.sleep(1.5)
        call("call-2")
        assert not handle.drain()
        turns = 'voicebot_turns_total{bot="bank",channel="phone",environment="",outcome="answered",variant=""}'
        assert scrape(handle.metrics_url)[turns] == 2
        assert scrape(handle.metrics_url)['voicebot_pipeline_failures_total{stage="commit"}'] >= 2
        assert handle.metrics.read().get(("voicebot.spans.dropped", "failed")) is None
        os.remove(os.environ["OTEL_VOICEBOT_DATA"])
        call("call-3")
        assert handle.flush()
        """,
        OTEL_VOICEBOT_DATA=str(data),
        OTEL_VOICEBOT_METRICS_ADDR="127.0.0.1:0",
    )
    assert out == ""
    assert len(errors) == 2
    assert f"can't write {data}" in errors[0]
    assert "remove the file that is in the way" in errors[0]
    assert "commit works again" in errors[1]
    assert len({span["span_id"] for span in stored(data)}) == len(stored(data)) == 3 * SPANS_PER_CALL


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("commit_interval", 0, "commit_interval (OTEL_VOICEBOT_COMMIT_INTERVAL): 0 Input should be greater than 0"),
        ("metrics_addr", "8000", "metrics_addr (OTEL_VOICEBOT_METRICS_ADDR): '8000' must be HOST:PORT"),
        ("queue_size", "many", "queue_size (OTEL_VOICEBOT_QUEUE_SIZE): 'many' Input should be a valid integer"),
        ("dta", "/x", "dta (OTEL_VOICEBOT_DTA)"),
        ("prices", "/nowhere/prices.yaml", "price file /nowhere/prices.yaml: can't be read: No such file"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(setting: str, value: object, said: str) -> None:
    """A wrong setting is the only thing that configure raises; it says which, its value and what is allowed."""
    with pytest.raises(UsageError) as raised:
        vb.configure(**{setting: value})
    assert said in str(raised.value)


def test_configure_needs_no_provider_to_be_there(tmp_path: Path) -> None:
    """Without a tracer provider the bot runs, nothing is stored, and nothing is said but at info level."""
    out, errors = run(
        "handle = vb.configure()\ncall()\nassert handle.flush() and handle.shutdown() and not handle.metrics_url",
        OTEL_VOICEBOT_DATA=str(tmp_path / "data"),
        OTEL_VOICEBOT_METRICS_ADDR="none",
    )
    assert (out, errors) == ("", [])
    assert not (tmp_path / "data").exists()


def test_importing_app_starts_nothing() -> None:
    """Importing the composition root starts no thread, opens no port and sets no provider."""
    text = "import threading; from otel_voicebot.app import *; print(threading.active_count())"
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "1\n"


@pytest.mark.parametrize("framed", [False, True])
def test_a_warm_engine_has_counted_and_kept_nothing(tmp_path: Path, framed: bool) -> None:
    """What runs once for nothing leaves no file, no warning and no number; the call after it is there, once.

    Also where calls of another kind were expected.
    """
    out, errors = run(
        """
        import threading
        handle = vb.configure(create_provider=True)
        handle.warm(framed=FRAMED)
        print([thread.name for thread in threading.enumerate()].count("otel-voicebot"))
        print(sum(value for name, value in scrape(handle.metrics_url).items() if not name.endswith("_created")
                  and name.startswith("voicebot_")))
        call()
        assert handle.drain()
        print(scrape(handle.metrics_url)['voicebot_sessions_total{bot="bank",channel="phone",environment="",outcome="resolved",variant=""}'])
        """.replace("FRAMED", str(framed)),
        OTEL_VOICEBOT_DATA=str(tmp_path / "data"),
    )
    assert errors == []
    assert out.split() == ["1", "0.0", "1.0"]
    assert len(stored(tmp_path / "data")) == SPANS_PER_CALL
