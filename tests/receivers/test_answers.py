"""Bounds and shared decisions of the doors, where sockets would hide them."""

import json

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otel_voicebot.errors import UsageError
from otel_voicebot.receivers.answers import Accepted, Refused
from otel_voicebot.receivers.bodies import sniff
from otel_voicebot.receivers.door import BusyError, Door
from otel_voicebot.receivers.limits import Budget, Limits
from otel_voicebot.receivers.security import Security
from otel_voicebot.receivers.statuses import accepted, refused
from otel_voicebot.selfmetrics import SelfMetrics
from tests.receivers.service import CAPTURES, Scripted, known


def test_a_budget_holds_no_more_than_it_has() -> None:
    """What was given back can be taken again, and no more."""
    budget = Budget(10)
    assert budget.take(4)
    assert not budget.take(7)
    assert budget.take(6)
    budget.give(4)
    assert budget.take(4)
    assert not budget.take(1)


@pytest.mark.parametrize("name", ["body_bytes", "concurrent", "receive_s"])
def test_bounds_that_let_nothing_in_are_refused(name: str) -> None:
    """A bound of nothing is named, not obeyed."""
    with pytest.raises(UsageError, match=name):
        Limits(**{name: 0})


def test_a_place_and_its_bytes_come_back() -> None:
    """However a request ends, its place and its bytes are free again."""
    limits = Limits(body_bytes=10, decompressed_bytes=10, in_flight_bytes=20, concurrent=1)
    door = Door("test", Scripted(lambda: known(Accepted())), Security(), limits, SelfMetrics())
    for _ in range(3):
        with pytest.raises(BusyError, match="bytes"), door.place() as lease:  # noqa: PT012 - the place must be left by it
            lease.take(15)
            with pytest.raises(BusyError, match="requests"), door.place():
                pass
            lease.take(15)


def test_delays_keep_their_fractions() -> None:
    """RetryInfo says the delay to the nanosecond, in protobuf and in JSON."""
    status = Status.FromString(refused(Refused("later", 2.25)))
    info = RetryInfo()
    assert status.details[0].Unpack(info)
    assert (info.retry_delay.seconds, info.retry_delay.nanos) == (2, 250_000_000)
    as_json = json.loads(refused(Refused("later", 2.25), as_json=True))
    assert as_json["details"][0]["retryDelay"] == "2.250s"


def test_partial_success_is_absent_where_all_is_well() -> None:
    """A sender that looks for partial success finds none after a faultless request."""
    assert {accepted(signal, Accepted()) for signal in ("traces", "logs", "metrics")} == {b""}
    assert json.loads(accepted("logs", Accepted(2, "why"), as_json=True)) == {
        "partialSuccess": {"rejectedLogRecords": "2", "errorMessage": "why"}
    }


def test_real_requests_are_not_taken_for_compressed_ones() -> None:
    """By their first bytes all captures are plain."""
    for capture in CAPTURES.glob("*.pb"):
        assert sniff(capture.read_bytes()) == "identity"
    assert sniff(b"") == sniff(b"\x78") == "identity"
