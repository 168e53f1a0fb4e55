"""Who may send: TLS, client certificates, a bearer token."""

import hashlib
import hmac
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from otel_voicebot.errors import UsageError

__all__ = ["Security"]


@dataclass(frozen=True, slots=True)
class Security:
    """How a door is locked. Everything off is for loopback and for networks that do this themselves.

    Raises:
        UsageError: the fields don't fit together, or a file is no certificate or key; the message names it.
    """

    cert: Path | None = None
    """The server's certificate (chain), PEM. Turns TLS on."""
    key: Path | None = None
    """Its private key, PEM, without a passphrase."""
    client_ca: Path | None = None
    """Certificates that must have signed a client's one, PEM. Turns mTLS on."""
    bearer_token: str | None = field(default=None, repr=False)
    """What ``authorization: Bearer ...`` must hold in every request for data; health and readiness need none."""

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise UsageError("TLS needs both a certificate and its key: set tls_cert and tls_key")
        if self.client_ca is not None and self.cert is None:
            raise UsageError("client certificates need TLS: set tls_cert and tls_key beside tls_client_ca")
        if self.bearer_token is not None and not (self.bearer_token.strip() and self.bearer_token.isascii()):
            raise UsageError("the bearer token must be ASCII text and not empty: set bearer_token")
        self.context()

    def context(self) -> ssl.SSLContext | None:
        """TLS as asyncio wants it, made from the files as they are now; None without TLS.

        Raises:
            UsageError: a file can't be used.
        """
        if self.cert is None or self.key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        for path in (self.cert, self.key):
            _readable(path)
        try:
            context.load_cert_chain(self.cert, self.key, password=_no_passphrase)
        except (ssl.SSLError, ValueError) as error:
            reason = f"{self.cert} and {self.key} are no PEM certificate and its key without a passphrase"
            raise UsageError(f"TLS can't be set up: {reason}") from error
        if self.client_ca is not None:
            _readable(self.client_ca)
            try:
                context.load_verify_locations(self.client_ca)
            except (ssl.SSLError, ValueError) as error:
                raise UsageError(f"TLS can't be set up: {self.client_ca} holds no PEM certificates") from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def admits(self, authorization: str | bytes | None) -> bool:
        """Whether a request with this ``authorization`` header may pass. Takes as long for any wrong token."""
        if self.bearer_token is None:
            return True
        given = authorization if isinstance(authorization, bytes) else (authorization or "").encode("utf-8", "replace")
        scheme, _, token = given.partition(b" ")
        same = hmac.compare_digest(_digest(token.strip()), _digest(self.bearer_token.strip().encode()))
        return same and scheme.lower() == b"bearer"


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()  # or the time tells the token's length


def _readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"TLS can't be set up: {path}: {error.strerror}") from error


def _no_passphrase() -> str:
    raise ValueError("a key with a passphrase")  # OpenSSL would ask on the terminal
