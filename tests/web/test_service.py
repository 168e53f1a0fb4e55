"""The web port as a part of a running service: who may ask, beside ingest, and at its end."""

import json
import shutil
import ssl
import threading
import time
from itertools import islice
from pathlib import Path

import pytest

from bench.generate import calls
from otel_voicebot import semconv as s
from otel_voicebot.store import snapshot
from tests.app.served import Served
from tests.live.test_bounds import call
from tests.receivers.service import certificates
from tests.web.asked import ask, get, is_error

no_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made with openssl")


def test_the_ready_line_names_it_and_it_can_be_switched_off(tmp_path: Path) -> None:
    """`web` is HOST:PORT, or null."""
    with Served(tmp_path / "data") as served:
        assert get(served.where["web"], "/api/services") == (
            200,
            {"data": [], "total": 0, "limit": 0, "offset": 0, "errors": None},
        )
        assert served.stop() == 0
    with Served(tmp_path / "data", "--web", "none") as served:
        assert served.where["web"] is None


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    """Without the token nothing is told, not even which pages there are; with it everything is."""
    (tmp_path / "token").write_text("open sesame\n")
    with Served(tmp_path / "data", "--bearer-token-file", str(tmp_path / "token")) as served:
        for path in ("/api/services", "/api/v3/services", "/nothing"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic b3BlbiBzZXNhbWU="}):
                assert ask(f"http://{served.where['web']}{path}", headers)[0] == 401
        assert is_error(ask(f"http://{served.where['web']}/api/services")[1], 401)
        right = {"Authorization": "Bearer open sesame"}
        assert ask(f"http://{served.where['web']}/api/services", right)[0] == 200


@no_openssl
def test_tls(tmp_path: Path) -> None:
    """With a certificate it speaks TLS only; with an authority for clients, only to those that it signed."""
    files = certificates(tmp_path)
    options = ["--tls-cert", str(files["server"]), "--tls-key", str(files["server_key"])]
    trusting = ssl.create_default_context(cafile=files["ca"])
    with Served(tmp_path / "data", *options) as served:
        assert ask(f"https://{served.where['web']}/api/services", context=trusting)[0] == 200
        with pytest.raises(OSError, match=r"reset|closed|Remote end|disconnect"):
            ask(f"http://{served.where['web']}/api/services")
    with Served(tmp_path / "data", *options, "--tls-client-ca", str(files["ca"])) as served:
        with pytest.raises(OSError, match=r"(?i)certificate|reset|closed|broken|eof"):
            ask(f"https://{served.where['web']}/api/services", context=trusting)
        trusting.load_cert_chain(files["client"], files["client_key"])
        assert ask(f"https://{served.where['web']}/api/services", context=trusting)[0] == 200


@pytest.mark.parametrize("capture", [False, True], ids=["without content", "with content"])
def test_what_was_said_is_there_only_when_it_is_stored(tmp_path: Path, capture: bool) -> None:
    """A transcript is told where content is captured, and nowhere else."""
    said = "my secret is four"
    spans = [span._replace(attributes={**span.attributes, s.USER_TEXT: said}) for span in call("one", 7)]
    with Served(tmp_path / "data", *(["--capture-content"] if capture else [])) as served:
        served.export(spans)
        trace = spans[0].trace_id.hex()
        for path in (f"/api/traces/{trace}", f"/api/v3/traces/{trace}"):
            status, document = get(served.where["web"], path)
            assert status == 200
            assert (said in json.dumps(document)) is capture


def test_questions_and_ingest_go_on_together(tmp_path: Path) -> None:
    """While calls come in, each is found as soon as it was acknowledged, and none is lost."""
    sent = list(islice(calls(5000, seed=4), 40))
    answered: list[int] = []
    stop = threading.Event()
    with Served(tmp_path / "data") as served:
        where = served.where["web"]
        paths = ("/api/services", "/api/traces?service=voicebot&lookback=90000h", "/api/dependencies")

        def wonder() -> None:
            while not stop.is_set():
                answered.extend(get(where, path)[0] for path in paths)

        threads = [threading.Thread(target=wonder) for _ in range(2)]
        for thread in threads:
            thread.start()
        for one in sent:
            served.export(one.spans)
            status, document = get(where, f"/api/traces/{one.spans[0].trace_id.hex()}")
            assert (status, len(document["data"][0]["spans"])) == (200, len(one.spans))
        stop.set()
        for thread in threads:
            thread.join()
        assert set(answered) == {200}
        assert served.stop() == 0
    assert snapshot(tmp_path / "data").rows == sum(len(one.spans) for one in sent)


def test_it_ends_while_it_is_asked(tmp_path: Path) -> None:
    """SIGTERM in the middle of questions: exit code 0, each question is answered or its connection closed."""
    stop = threading.Event()
    seen: list[object] = []
    with Served(tmp_path / "data") as served:
        served.export(call("one", 7))

        def wonder() -> None:
            while not stop.is_set():
                try:
                    seen.append(get(served.where["web"], "/api/traces", service="voicebot", lookback="90000h")[0])
                except (OSError, ValueError) as error:
                    seen.append(type(error))
                    time.sleep(0.01)

        threads = [threading.Thread(target=wonder) for _ in range(4)]
        for thread in threads:
            thread.start()
        while seen.count(200) < 8:
            time.sleep(0.01)
        assert served.stop() == 0
        stop.set()
        for thread in threads:
            thread.join()
    assert not {500, 404, 400} & {status for status in seen if isinstance(status, int)}


def test_questions_are_counted_by_their_outcome(tmp_path: Path) -> None:
    """`/metrics` says how many were answered, found nothing, or were wrong."""
    with Served(tmp_path / "data") as served:
        for path in ("/api/services", "/api/services", f"/api/traces/{'a' * 32}", "/api/traces/x"):
            get(served.where["web"], path)
        found = {labels: n for (name, labels), n in served.metrics().items() if name == "voicebot_web_questions_total"}
    assert found == {(("outcome", "answered"),): 2, (("outcome", "not_found"),): 1, (("outcome", "wrong"),): 1}
