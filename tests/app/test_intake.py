"""From a request to its answer: what is acknowledged is on disk, what is not is asked for again."""

import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from bench import wire
from otel_voicebot import semconv as s
from otel_voicebot.app import pace
from otel_voicebot.app.admission import Admission
from otel_voicebot.app.intake import Intake
from otel_voicebot.receivers.answers import Accepted, Refused
from otel_voicebot.store import disk
from tests.app.service_parts import Taken, request
from tests.live.test_bounds import call


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Taken]:
    """An intake over a real store."""
    made = Taken(tmp_path / "data")
    yield made
    made.close()


def test_an_answer_comes_when_the_spans_are_on_disk(taken: Taken) -> None:
    """What is accepted can be read at once, and was passed on to the live state once."""
    assert taken.ask(request(call("one", 7))) == Accepted()
    assert taken.stored() == 4
    assert sum(rows.num_rows for rows in taken.passed) == 4


def test_a_body_that_is_no_request_is_refused_for_good(taken: Taken) -> None:
    """Its sender is told never to send it again, and requests that are read with it are kept."""
    gate = _gate(taken)
    futures = [taken.intake.offer("traces", body) for body in (b"\xff\xff", request(call("one", 7)))]
    half = request(call("two", 7))[:-3]
    futures.append(taken.intake.offer("traces", half))
    gate.set()
    answers = [future.result(30) for future in futures]
    assert [isinstance(one, Refused) and one.retry_after_s is None for one in answers] == [True, False, True]
    assert taken.stored() == 8


def _gate(taken: Taken) -> threading.Event:
    """Hold the reader with a request of its own, so that what is offered now is read together."""
    gate, inside = threading.Event(), threading.Event()
    prepare = taken.intake._paths["traces"].prepare

    def wait(batch: object) -> pa.RecordBatch:
        inside.set()
        gate.wait(30)
        return prepare(batch)

    object.__setattr__(taken.intake._paths["traces"], "prepare", wait)
    taken.intake.offer("traces", request(call("gate", 1)))
    assert inside.wait(30)
    return gate


def test_requests_that_wait_are_read_and_committed_together(taken: Taken) -> None:
    """Many small requests become few files, and each gets its own answer."""
    gate = _gate(taken)
    futures = [taken.intake.offer("traces", request(call(f"call-{n}", 7))) for n in range(50)]
    gate.set()
    assert [future.result(30) for future in futures] == [Accepted()] * 50
    assert taken.stored() == 204
    assert len(list(taken.data.rglob("*.parquet"))) <= 3


def test_who_comes_close_behind_others_waits_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came after a quiet while is read at once; the next wait until they are enough, and are one file then."""
    monkeypatch.setattr(pace, "_EVERY_S", 3600.0)
    monkeypatch.setattr(pace, "_BACK_S", -1.0)
    taken = Taken(tmp_path / "data")
    assert taken.ask(request(call("first", 7))) == Accepted()
    futures = [taken.intake.offer("traces", request(call(f"call-{n}", 7))) for n in range(31)]
    assert not any(future.done() for future in futures)
    futures.append(taken.intake.offer("traces", request(call("the last", 7))))
    assert [future.result(30) for future in futures] == [Accepted()] * 32
    assert len(list(taken.data.rglob("*.parquet"))) == 2
    taken.close()


def test_who_sends_again_as_soon_as_it_is_answered_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exporter that sends one request after the other is as fast as without others to wait for."""
    monkeypatch.setattr(pace, "_EVERY_S", 3600.0)
    monkeypatch.setattr(pace, "_BACK_S", 3600.0)
    taken = Taken(tmp_path / "data")
    assert [taken.ask(request(call(f"call-{n}", 7))) for n in range(5)] == [Accepted()] * 5
    half = request(call("half", 7))[:-3]
    assert all(isinstance(taken.ask(half), Refused) for _ in range(2))  # a refusal is an answer, too
    taken.close()


def test_what_waits_for_others_is_answered_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that stops doesn't wait for more."""
    monkeypatch.setattr(pace, "_EVERY_S", 3600.0)
    monkeypatch.setattr(pace, "_BACK_S", -1.0)
    taken = Taken(tmp_path / "data")
    taken.ask(request(call("first", 7)))
    waiting = taken.intake.offer("traces", request(call("second", 7)))
    taken.close()
    assert waiting.result(0) == Accepted()


def test_only_the_sender_of_a_wrong_span_is_told(taken: Taken) -> None:
    """A span without an id is rejected by partial success; the rest of its request and other requests are whole."""
    gate = _gate(taken)
    wrong = [*call("wrong", 7), wire.Span(b"t" * 16, b"", b"", "x", 1, 1, 2, {})]
    futures = [taken.intake.offer("traces", request(spans)) for spans in (call("a", 1), wrong, call("b", 1))]
    gate.set()
    answers = [future.result(30) for future in futures]
    assert [answer.rejected for answer in answers if isinstance(answer, Accepted)] == [0, 1, 0]
    assert taken.stored() == 16


def test_a_repeat_is_answered_alike_and_kept_once(taken: Taken) -> None:
    """Whether it comes with the first, or after it."""
    gate = _gate(taken)
    futures = [taken.intake.offer("traces", request(call("one", 7))) for _ in range(3)]
    gate.set()
    assert [future.result(30) for future in futures] == [Accepted()] * 3
    assert taken.ask(request(call("one", 7))) == Accepted()
    assert taken.stored() == 8
    assert taken.metrics.get(s.SELF_REPEATED) == 12


def test_a_disk_that_refuses_is_tried_again(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender is told to come again, its keys are not taken for stored, and it is well as soon as the disk is."""
    write = disk.write
    monkeypatch.setattr(disk, "write", _full)
    answer = taken.ask(request(call("one", 7)))
    assert isinstance(answer, Refused)
    assert answer.retry_after_s
    assert taken.intake.unready() == "the disk refuses"
    assert len(taken.window) == 0
    monkeypatch.setattr(disk, "write", write)
    while taken.intake.unready():  # it finds out by itself: nobody sends to a service that is not ready
        threading.Event().wait(0.02)
    assert taken.ask(request(call("one", 7))) == Accepted()
    assert taken.stored() == 4


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_almost_full_takes_no_more(tmp_path: Path) -> None:
    """Below the watermark senders are asked to come again before anything is written."""
    taken = Taken(tmp_path / "data", min_free_disk=1 << 60)
    answer = taken.ask(request(call("one", 7)))
    assert isinstance(answer, Refused)
    assert answer.retry_after_s
    assert taken.intake.unready() == "the disk is almost full"
    taken.close()


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Beyond the limit senders are asked to come again; what was let in is answered, and all of it is given back."""
    payload = request(call("one", 7))
    taken = Taken(tmp_path / "data", memory_limit=3 * len(payload))
    gate = _gate(taken)
    futures = [taken.intake.offer("traces", payload) for _ in range(10)]
    gate.set()
    answers = [future.result(30) for future in futures]
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert 0 < len(refused) < 10
    assert all(answer.retry_after_s for answer in refused)
    taken.close()
    assert taken.admission.held == 0


def test_what_can_not_keep_up_lets_nobody_in(taken: Taken) -> None:
    """While the live state is behind, senders are asked to come again."""
    taken.backlog = "behind"
    answer = taken.ask(request(call("one", 7)))
    assert answer == Refused("behind", 1.0)
    taken.backlog = None
    assert taken.ask(request(call("one", 7))) == Accepted()


def test_a_defect_of_ours_costs_no_sender_its_data(taken: Taken) -> None:
    """It is counted, and the sender is told to come again; the next request is served."""
    path = taken.intake._paths["traces"]
    prepare = path.prepare
    object.__setattr__(path, "prepare", lambda _batch: 1 / 0)
    answer = taken.ask(request(call("one", 7)))
    assert isinstance(answer, Refused)
    assert answer.retry_after_s
    assert taken.metrics.get(s.SELF_FAILURES, "read") == 1
    object.__setattr__(path, "prepare", prepare)
    assert taken.ask(request(call("one", 7))) == Accepted()


class PanicError(BaseException):
    """What a defect in Rust becomes: no Exception."""


@pytest.mark.parametrize("step", ["decode", "prepare", "commit"])
def test_a_panic_ends_no_thread(taken: Taken, step: str) -> None:
    """The sender is told to come again, and then it is served."""
    path = taken.intake._paths["traces"]
    before = getattr(path, step)

    def panic(_rows: object) -> None:
        raise PanicError

    object.__setattr__(path, step, panic)
    answer = taken.ask(request(call("one", 7)))
    assert isinstance(answer, Refused)
    assert answer.retry_after_s
    object.__setattr__(path, step, before)
    assert taken.ask(request(call("one", 7))) == Accepted()


@pytest.mark.parametrize(("step", "name"), [("_take_offered", "read"), ("_take_read", "commit")])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ended_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, name: str) -> None:
    """Not ready, and broken: without its thread the service would take requests and never answer them."""
    taken = Taken(tmp_path / "data")
    assert (taken.intake.broken(), taken.intake.unready()) == (None, None)

    def panic(_: object) -> None:
        raise PanicError

    monkeypatch.setattr(Intake, step, panic)
    taken.intake.offer("traces", request(call("one", 7)))  # wakes them up
    said = f"a thread has ended: otel-voicebot-{name}"
    for thread in taken.intake._threads:
        if thread.name.endswith(name):
            thread.join(30)
    assert (taken.intake.broken(), taken.intake.unready()) == (said, said)
    taken.admission.close("closed")
    taken.intake.stop(0.1)
    assert taken.intake.broken() is None


def test_what_is_on_disk_is_acknowledged_though_the_next_stage_fails(taken: Taken) -> None:
    """It is counted; the rows are safe, so the sender must not come again, and the next one is served."""
    path = taken.intake._paths["traces"]

    def panic(_rows: object) -> None:
        raise PanicError

    object.__setattr__(path, "passed_on", panic)
    assert [taken.ask(request(call(name, 7))) for name in ("one", "two")] == [Accepted()] * 2
    assert taken.metrics.get(s.SELF_FAILURES, "live") == 2


def test_stopping_answers_what_was_taken(tmp_path: Path) -> None:
    """What was offered before is on disk and acknowledged; what comes after is refused, to be sent again."""
    taken = Taken(tmp_path / "data")
    futures = [taken.intake.offer("traces", request(call(f"call-{n}", 7))) for n in range(20)]
    taken.close()
    assert [future.result(0) for future in futures] == [Accepted()] * 20
    answer = taken.ask(request(call("late", 7)))
    assert isinstance(answer, Refused)
    assert answer.retry_after_s
    assert taken.stored() == 80


def test_a_disk_that_hangs_is_told_and_holds_up_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks while a look goes on is answered at once: as before for two seconds, then that the disk hangs."""
    now, hangs, looks = [0.0], threading.Event(), []

    def free_bytes(_: Path) -> int:
        looks.append(1)
        assert hangs.wait(10)
        return 1 << 40

    monkeypatch.setattr("otel_voicebot.app.admission.disk.free_bytes", free_bytes)
    admission = Admission(tmp_path, 1 << 20, 1, clock=lambda: now[0])
    admission.open()
    first = threading.Thread(target=admission.unready)
    first.start()
    while not looks:
        time.sleep(0.001)
    assert admission.unready() is None
    now[0] = 2.5
    assert admission.unready() == "the disk doesn't answer"
    assert admission.enter(1) is not None
    hangs.set()
    first.join(10)
    assert admission.unready() is None
    assert len(looks) == 2
