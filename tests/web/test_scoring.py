"""A15: scores of sessions over HTTP, answered when they are on disk; KPI snapshots; the log records of a session."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

from otel_voicebot.errors import TooSlowError
from otel_voicebot.models import Selection
from otel_voicebot.receivers.answers import Accepted, Answer, Refused
from otel_voicebot.receivers.security import Security
from otel_voicebot.reports.snapshot import Snapshots
from otel_voicebot.store import snapshot
from otel_voicebot.web import WebServer
from otel_voicebot.web.scoring import MOST, MOST_BYTES
from tests.app.served import Served, until
from tests.models.twelve import tables, take_in
from tests.web.asked import ask, get
from tests.web.scores import post


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service over the twelve calls without s11's late survey; tests of this module only refuse, or tell of s02."""
    facts = tables.FACTS
    try:
        tables.FACTS = "\n".join(line for line in facts.splitlines() if " late " not in line)
        data = take_in(tmp_path_factory.mktemp("served"), tables.lines())
    finally:
        tables.FACTS = facts
    with Served(data) as service:
        yield service


WRONG: dict[str, tuple[object, int, str]] = {
    "csat off its scale": ({"session_id": "s01", "csat": 6}, 422, "csat 6: must be a whole number from 1 to 5"),
    "csat between": ({"session_id": "s01", "csat": 3.5}, 422, "csat 3.5: must be a whole number from 1 to 5"),
    "csat a truth": ({"session_id": "s01", "csat": True}, 422, "csat True: must be a whole number"),
    "csat a list": ({"session_id": "s01", "csat": [5]}, 422, "csat [5]: must be a whole number"),
    "nps off its scale": ({"session_id": "s01", "nps": -1}, 422, "nps -1: must be a whole number from 0 to 10"),
    "no outcome": ({"session_id": "s01", "outcome": "fine"}, 422, "outcome 'fine': must be one of resolved, "),
    "outcome a list": ({"session_id": "s01", "outcome": ["resolved"]}, 422, "outcome ['resolved']: must be one of"),
    "no callback": ({"session_id": "s01", "callback": "perhaps"}, 422, "callback 'perhaps': must be yes or no"),
    "no time": ({"session_id": "s01", "csat": 5, "time": "yesterday"}, 422, "time 'yesterday': must be ISO 8601"),
    "far ahead": (
        {"session_id": "s01", "csat": 5, "time": "9999-12-31T23:59:59"},
        422,
        "must be from 1970 on, and not",
    ),
    "long ago": ({"session_id": "s01", "csat": 5, "time": "0001-01-01"}, 422, "must be from 1970 on, and not in"),
    "a number as time": ({"session_id": "s01", "csat": 5, "time": 20260101}, 422, "time 20260101: must be"),
    "nothing told": ({"session_id": "s01"}, 422, "it tells nothing: csat, nps, outcome, callback are all empty"),
    "no session": ({"csat": 5}, 422, "session_id is missing"),
    "session a number": ({"session_id": 1.5, "csat": 5}, 422, "session_id 1.5: must be a text"),
    "session too long": ({"session_id": "s" * 513, "csat": 5}, 422, "must be a text of at most 512 characters"),
    "half a letter": (rb'{"session_id": "\ud800", "csat": 5}', 422, "session_id '\\ud800': must be a text"),
    "unknown field": ({"session_id": "s01", "csta": 5}, 422, "csta: there is no such field; there are session_id"),
    "unknown session": ({"session_id": "s99", "csat": 5}, 404, "session_id 's99': no such session; a call is known"),
    "no JSON": (b"csat=5", 400, "the body is no JSON"),
    "nothing": (b"", 400, "the body is no JSON"),
    "no UTF-8": (b'{"session_id": "\xff"}', 400, "the body is no JSON"),
    "a key twice": (b'{"session_id": "s01", "csat": 5, "csat": 1}', 400, "an object has a key twice"),
    "not a number": (b'{"session_id": "s01", "csat": NaN}', 400, "NaN is no number"),
    "deep": (b"[" * 200_000, 400, "the body is no JSON"),
    "a long number": (b'{"session_id": "s01", "csat": ' + b"9" * 5000 + b"}", 400, "the body is no JSON"),
    "a text": ('"s01"', 400, "must be one JSON object, or an array of 1 to 1000"),
    "an empty array": ([], 400, "must be one JSON object, or an array"),
    "an array of numbers": ([1], 400, "must be one JSON object, or an array"),
    "too many": ([{"session_id": "s01", "csat": 5}] * (MOST + 1), 400, "an array of 1 to 1000"),
    "too large": (b" " * (MOST_BYTES + 1), 413, f"the body has more than {MOST_BYTES} bytes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_refused_with_a_sentence(served: Served, name: str) -> None:
    """Each has its status, and a sentence with the value and what is allowed; nothing is recorded."""
    before = snapshot(Path(served.where["data"])).files
    body, status, sentence = WRONG[name]
    found = post(served.where["web"], body)
    assert found.status == status
    assert sentence in found.message
    assert "retry-after" not in {header.lower() for header in found.headers}
    assert snapshot(Path(served.where["data"])).files == before


def test_every_wrong_field_has_its_own_sentence(served: Served) -> None:
    """Of each object of a batch, by its index; and nothing of the batch is recorded."""
    batch = [
        {"session_id": "s02", "csat": 5},
        {"session_id": "", "csat": 0, "nps": "x"},
        {"session_id": "s01", "no": 1},
    ]
    found = post(served.where["web"], batch)
    assert found.status == 422
    assert [(one["index"], one["field"]) for one in found.document["errors"]] == [
        *((1, name) for name in ("session_id", "csat", "nps")),
        *((2, name) for name in ("no", "csat")),
    ]
    assert found.message.endswith("(and 4 more); nothing was recorded")
    rows = get(served.where["web"], "/api/v1/kpis", bot="bank")[1]["kpis"]
    assert rows["csat_share"]["denominator"] == 3


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"content_type": "text/csv"}, "content-type must be application/json"),
        ({"content_type": "application/x-www-form-urlencoded"}, "content-type must be application/json"),
        ({"content_encoding": "gzip"}, "content-encoding must be identity"),
    ],
)
def test_another_content_type_is_refused(served: Served, headers: dict[str, str], sentence: str) -> None:
    """415; a charset beside the type is fine."""
    found = post(served.where["web"], {"session_id": "s02", "csat": 5}, **headers)
    assert (found.status, found.message) == (415, found.message)
    assert sentence in found.message


def test_only_post_is_known_there(served: Served) -> None:
    """A question there is 405, in the form of this API."""
    status, document = get(served.where["web"], "/api/v1/feedback")
    assert (status, document["error"]["code"]) == (405, 405)


def test_a_body_that_ends_early_is_answered_or_dropped(served: Served) -> None:
    """A sender that hangs up in the middle leaves nothing behind, and the next one is served."""
    host, _, port = served.where["web"].rpartition(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(b"POST /api/v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        line.sendall(b'Content-Length: 100\r\n\r\n{"session_id"')
    assert post(served.where["web"], {"session_id": "s99", "csat": 5}).status == 404


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
_FACTS = st.dictionaries(st.sampled_from(["session_id", "csat", "nps", "outcome", "callback", "time", "x"]), _JSON)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=_JSON | _FACTS | st.lists(_FACTS, max_size=3))
def test_any_json_is_answered(served: Served, body: object) -> None:
    """Refused in one sentence; never a defect. No session has such a name, so nothing is recorded."""
    found = post(served.where["web"], json.dumps(body).encode())
    assert found.status in (400, 404, 422)
    assert found.message


def test_its_openapi_description_names_the_routes(served: Served) -> None:
    """Ours, with what they take and refuse; not Jaeger's."""
    status, document = get(served.where["web"], "/api/v1/openapi.json")
    assert status == 200
    assert set(document["paths"]) == {"/api/v1/feedback", "/api/v1/kpis", "/api/v1/sessions/{session}/logs"}
    posted = document["paths"]["/api/v1/feedback"]["post"]
    assert {"200", "400", "401", "404", "413", "415", "422", "503"} <= set(posted["responses"])
    one, many = posted["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert set(one["properties"]) == {"session_id", "csat", "nps", "outcome", "callback", "time"}
    assert many["maxItems"] == MOST


def test_kpis_are_the_reports(served: Served) -> None:
    """A snapshot is the document of `report --json`: filtered, as of a moment, with a section; wrong ones are named."""
    where = served.where["web"]
    status, found = get(where, "/api/v1/kpis", channel="web", section="compliance")
    assert (status, found["schema"]) == (200, "otel_voicebot.report/1")
    assert found["kpis"]["sessions"]["value"] == 1
    assert "compliance" in found["sections"]
    then = get(where, "/api/v1/kpis", as_of="2026-03-06T12:00:00+00:00", since="2d")[1]
    assert (then["as_of"], then["kpis"]["sessions"]["value"]) == ("2026-03-06T12:00:00.000000Z", 2)
    for asked, sentence in (
        ({"since": "yesterday"}, "parameter since 'yesterday' is no time"),
        ({"since": "1h", "until": "2h"}, "the window is empty"),
        ({"as_of": "9000-01-01"}, "lies in the future"),
        ({"section": "mystery"}, "parameter section 'mystery': must be one of"),
        ({"bot": "b" * 600}, "parameter bot"),
    ):
        status, document = get(where, "/api/v1/kpis", **asked)
        assert (status, document["error"]["code"]) == (400, 400)
        assert sentence in document["error"]["message"]


def test_a_report_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """It is broken off, not waited for; likewise when the service stops; and the next one is answered."""
    data, now = take_in(tmp_path, tables.lines()), datetime.now(UTC)
    with pytest.raises(TooSlowError, match="takes too long"):
        Snapshots(data, timeout_s=-1.0).report(Selection(), now)
    stopped = Snapshots(data)
    stopped.stop()
    with pytest.raises(TooSlowError):
        stopped.report(Selection(), now)
    assert Snapshots(data).report(Selection(), now).value("sessions") == 12


def test_quotas_are_the_services_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota of its file is in the sections about quotas, as in `report --section quotas`."""
    quotas = tmp_path / "quotas.yaml"
    quotas.write_text("quotas:\n  - {service: openai, period: day, tokens: 2000000}\n")
    data = take_in(tmp_path, tables.lines())
    monkeypatch.setenv("OTEL_VOICEBOT_QUOTAS", str(quotas))
    with Served(data) as service:
        status, found = get(service.where["web"], "/api/v1/kpis", section="quotas")
    assert status == 200
    assert [(row["service"], row["period"]) for row in found["sections"]["quotas"]] == [("openai", "day")]


def test_the_log_records_of_a_session(served: Served) -> None:
    """Those of that session alone, at least that severe, the last ones; a wrong severity or limit is named."""
    exporter = OTLPLogExporter(endpoint=f"http://{served.where['http']}/v1/logs")
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    for name, severity in (("s01", 9), ("s01", 17), ("s02", 17)):
        provider.get_logger("app").emit(
            LogRecord(
                severity_number=SeverityNumber(severity),
                body="said",
                attributes={"session.id": name},
                timestamp=time.time_ns(),
            )
        )
    provider.shutdown()
    where = served.where["web"]
    until(lambda: get(where, "/api/v1/sessions/s02/logs")[0] == 200)
    status, found = get(where, "/api/v1/sessions/s01/logs", severity="warn")
    assert (status, found["found"]) == (200, 1)
    assert [(one["session_id"], one["severity_number"]) for one in found["records"]] == [("s01", 17)]
    assert len(get(where, "/api/v1/sessions/s01/logs", limit=1)[1]["records"]) == 1
    for asked in ({"severity": "loud"}, {"limit": 0}, {"limit": "all"}, {"since": "soon"}):
        status, document = get(where, "/api/v1/sessions/s01/logs", **asked)
        assert (status, next(iter(asked)) in document["error"]["message"]) == (400, True)
    assert get(where, "/api/v1/sessions/s99/logs")[0] == 404


def test_an_empty_directory_has_no_kpis_and_no_logs(tmp_path: Path) -> None:
    """404 with the command line's sentence; a score of a session that nobody knows is refused there, too."""
    with Served(tmp_path / "data") as service:
        for path in ("/api/v1/kpis", "/api/v1/sessions/s01/logs"):
            status, document = get(service.where["web"], path)
            assert (status, document["error"]["message"].startswith("no data:")) == (404, True)
        assert post(service.where["web"], {"session_id": "s01", "csat": 5}).status == 404


def test_the_token_is_asked_for(tmp_path: Path) -> None:
    """Without the token nothing is taken and nothing told; with it both are."""
    data = take_in(tmp_path, tables.lines())
    (tmp_path / "token").write_text("open sesame\n")
    with Served(data, "--bearer-token-file", str(tmp_path / "token")) as service:
        where, score = service.where["web"], {"session_id": "s02", "csat": 5}
        assert post(where, score).status == 401
        assert post(where, score, authorization="Bearer wrong").status == 401
        assert ask(f"http://{where}/api/v1/kpis")[1] == {
            "error": {"code": 401, "message": "the bearer token is wrong or missing"}
        }
        assert post(where, score, authorization="Bearer open sesame").status == 200


class Disk:
    """An intake that answers as it is told; it stands where the disk does."""

    def __init__(self, answer: Answer | None, unready: str | None = None) -> None:
        self._answer, self._unready = answer, unready

    def offer(self, _signal: str, _payload: bytes) -> Future[Answer]:
        """See ``Intake``."""
        future: Future[Answer] = Future()
        if self._answer is not None:
            future.set_result(self._answer)
        return future

    def unready(self) -> str | None:
        """See ``Intake``."""
        return self._unready

    def broken(self) -> str | None:
        """See ``Intake``."""
        return None


@pytest.mark.parametrize(
    ("disk", "status", "retry"),
    [
        (Disk(Accepted()), 200, None),
        (Disk(Refused("the disk refuses", 2.0)), 503, "2"),
        (Disk(Refused("overloaded", 0.2)), 503, "1"),
        (Disk(None, "the disk is almost full"), 503, "1"),
        (Disk(Refused("malformed", None)), 500, None),
        (Disk(Accepted(1, "1 unreadable")), 500, None),
    ],
)
def test_it_is_answered_as_the_disk_does(tmp_path: Path, disk: Disk, status: int, retry: str | None) -> None:
    """OK only when all is on disk; 503 with Retry-After when it can't be now; a defect of ours is a 500."""
    data = take_in(tmp_path, tables.lines())
    server = WebServer(data, "127.0.0.1:0", Security(), intake=disk)
    try:
        found = post(f"127.0.0.1:{server.start()}", {"session_id": "s02", "csat": 5})
    finally:
        server.stop(1)
    assert (found.status, {name.lower(): text for name, text in found.headers.items()}.get("retry-after")) == (
        status,
        retry,
    )


def test_it_is_not_answered_before_it_is_on_disk(tmp_path: Path) -> None:
    """While the disk works nobody is told OK."""
    held = Disk(None)
    asked, answers = threading.Event(), Future[Answer]()

    def offer(_signal: str, _payload: bytes) -> Future[Answer]:
        asked.set()
        return answers

    held.offer = offer  # type: ignore[method-assign]
    server = WebServer(take_in(tmp_path, tables.lines()), "127.0.0.1:0", Security(), intake=held)
    where, found = f"127.0.0.1:{server.start()}", []
    sender = threading.Thread(target=lambda: found.append(post(where, {"session_id": "s02", "nps": 9}).status))
    try:
        sender.start()
        assert asked.wait(30)
        assert not found
        answers.set_result(Accepted())
        sender.join(30)
    finally:
        server.stop(1)
    assert found == [200]
