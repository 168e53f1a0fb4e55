"""TLS, client certificates and the bearer token, each with its refusal."""

import http.client
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc.status_pb2 import Status

from otel_voicebot.errors import UsageError
from otel_voicebot.receivers.security import Security
from otel_voicebot.semconv import SELF_REFUSED
from tests.receivers.service import CAPTURES, HEALTH_CHECK, TRACE_EXPORT, Doors, StoreIntake, certificates, openssl

CAPTURE = (CAPTURES / "pipecat.otlp.pb").read_bytes()
TOKEN = "s3cret-token"
no_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="certificates are made with the openssl command"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Certificates made for this run."""
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def locked(intake: StoreIntake) -> Iterator[Doors]:
    """Doors that ask for a token."""
    with Doors(intake, Security(bearer_token=TOKEN)) as doors:
        yield doors


def by_grpc(doors: Doors, channel: grpc.Channel, token: str | None = None, method: str = TRACE_EXPORT) -> bytes:
    """The answer over this channel."""
    metadata = (("authorization", token),) if token is not None else ()
    with channel:
        answer: bytes = channel.unary_unary(method)(CAPTURE if method == TRACE_EXPORT else b"", 30, metadata)
        return answer


def by_http(
    connection: http.client.HTTPConnection, headers: dict[str, str], path: str = "/v1/traces"
) -> tuple[int, bytes]:
    """Status and body over this connection."""
    method = "POST" if path.startswith("/v1") else "GET"
    connection.request(method, path, CAPTURE, {"content-type": "application/x-protobuf", **headers})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def test_the_right_token_opens_both_doors(locked: Doors, intake: StoreIntake) -> None:
    """With the token requests pass; the scheme's case does not matter, the token's does."""
    plain = f"127.0.0.1:{locked.grpc_port}"
    assert by_grpc(locked, grpc.insecure_channel(plain), f"Bearer {TOKEN}") == b""
    connection = http.client.HTTPConnection("127.0.0.1", locked.http_port, timeout=30)
    assert by_http(connection, {"Authorization": f"bearer {TOKEN}"})[0] == 200
    assert len(intake.offered) == 2


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN.upper()}", TOKEN, f"Basic {TOKEN}"]
)
def test_a_wrong_token_opens_no_door(locked: Doors, intake: StoreIntake, given: str | None) -> None:
    """UNAUTHENTICATED and 401 for a wrong, empty or missing token; nothing is kept, and the refusals are counted."""
    with pytest.raises(grpc.RpcError) as caught:
        by_grpc(locked, grpc.insecure_channel(f"127.0.0.1:{locked.grpc_port}"), given)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    connection = http.client.HTTPConnection("127.0.0.1", locked.http_port, timeout=30)
    status, body = by_http(connection, {} if given is None else {"authorization": given})
    assert (status, Status.FromString(body).code) == (401, 16)
    assert intake.offered == []
    assert locked.metrics.get(SELF_REFUSED, "unauthenticated") == 2


def test_probes_need_no_token(locked: Doors) -> None:
    """Health and readiness are asked by those who have no token."""
    connection = http.client.HTTPConnection("127.0.0.1", locked.http_port, timeout=30)
    assert by_http(connection, {}, "/readyz")[0] == 200
    channel = grpc.insecure_channel(f"127.0.0.1:{locked.grpc_port}")
    assert by_grpc(locked, channel, method=HEALTH_CHECK) == b"\x08\x01"


@no_openssl
def test_tls(intake: StoreIntake, files: dict[str, Path]) -> None:
    """With a certificate both doors speak TLS; a client without TLS, or that doesn't trust it, gets nothing."""
    with Doors(intake, Security(files["server"], files["server_key"])) as doors:
        trusting = grpc.ssl_channel_credentials(files["ca"].read_bytes())
        assert by_grpc(doors, grpc.secure_channel(f"127.0.0.1:{doors.grpc_port}", trusting)) == b""
        assert by_http(_https(doors, files, "ca"), {})[0] == 200
        distrusting = grpc.ssl_channel_credentials(files["other"].read_bytes())
        for channel in (
            grpc.insecure_channel(f"127.0.0.1:{doors.grpc_port}"),
            grpc.secure_channel(f"127.0.0.1:{doors.grpc_port}", distrusting),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                by_grpc(doors, channel)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(ssl.SSLCertVerificationError):
            by_http(_https(doors, files, "other"), {})
        with pytest.raises((http.client.HTTPException, OSError)):
            by_http(http.client.HTTPConnection("127.0.0.1", doors.http_port, timeout=30), {})
    assert len(intake.offered) == 2


@no_openssl
def test_client_certificates(intake: StoreIntake, files: dict[str, Path]) -> None:
    """With mTLS a client of the right CA passes; one without a certificate, or of another CA, does not."""
    with Doors(intake, Security(files["server"], files["server_key"], files["ca"])) as doors:
        assert by_grpc(doors, _mutual(doors, files, "client")) == b""
        assert by_http(_https(doors, files, "ca", "client"), {})[0] == 200
        for client in (None, "stranger"):
            with pytest.raises(grpc.RpcError) as caught:
                by_grpc(doors, _mutual(doors, files, client))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            with pytest.raises((http.client.HTTPException, OSError)):
                by_http(_https(doors, files, "ca", client), {})
    assert len(intake.offered) == 2


@no_openssl
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_old_tls_is_refused(intake: StoreIntake, files: dict[str, Path]) -> None:
    """The HTTP door speaks TLS 1.2 and newer only."""
    with Doors(intake, Security(files["server"], files["server_key"])) as doors:
        context = ssl.create_default_context(cafile=files["ca"])
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(OSError, match=r"SSL|TLS|reset"):
            by_http(http.client.HTTPSConnection("127.0.0.1", doors.http_port, timeout=30, context=context), {})


def test_halves_are_refused() -> None:
    """A certificate without its key, client certificates without TLS, an empty token: each names the setting."""
    with pytest.raises(UsageError, match="tls_key"):
        Security(cert=Path("a.pem"))
    with pytest.raises(UsageError, match="tls_client_ca"):
        Security(client_ca=Path("a.pem"))
    with pytest.raises(UsageError, match="bearer_token"):
        Security(bearer_token=" ")


@no_openssl
def test_files_that_are_no_certificates_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    """A missing file, a key that is another's, text: each is named at once."""
    missing, text = tmp_path / "missing.pem", tmp_path / "text.pem"
    text.write_text("hello")
    with pytest.raises(UsageError, match=r"missing\.pem"):
        Security(missing, files["server_key"])
    for cert, key in ((text, files["server_key"]), (files["server"], text), (files["server"], files["client_key"])):
        with pytest.raises(UsageError, match="no PEM certificate and its key"):
            Security(cert, key)
    with pytest.raises(UsageError, match=r"text\.pem holds no PEM certificates"):
        Security(files["server"], files["server_key"], text)


@no_openssl
def test_a_key_with_a_passphrase_is_refused_without_a_prompt(files: dict[str, Path], tmp_path: Path) -> None:
    """Nobody sits at a service's terminal."""
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", files["server_key"], "-out", locked, "-aes256", "-passout", "pass:secret")
    with pytest.raises(UsageError, match="passphrase"):
        Security(files["server"], locked)


def test_the_token_is_not_shown() -> None:
    """Printing the security of a door doesn't print its token."""
    assert TOKEN not in repr(Security(bearer_token=TOKEN))


def _https(
    doors: Doors, files: dict[str, Path], trusted: str, client: str | None = None
) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=files[trusted])
    if client is not None:
        context.load_cert_chain(files[client], files[f"{client}_key"])
    return http.client.HTTPSConnection("127.0.0.1", doors.http_port, timeout=30, context=context)


def _mutual(doors: Doors, files: dict[str, Path], client: str | None) -> grpc.Channel:
    key, cert = (files[f"{client}_key"].read_bytes(), files[client].read_bytes()) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(files["ca"].read_bytes(), key, cert)
    return grpc.secure_channel(f"127.0.0.1:{doors.grpc_port}", credentials)
