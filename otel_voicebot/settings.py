"""The only reader of environment and configuration: every setting, its default and why.

Each field is also the environment variable ``OTEL_VOICEBOT_<NAME>``. A wrong value is a ``UsageError`` that names the
setting and the value.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from otel_voicebot.errors import UsageError

if TYPE_CHECKING:
    from otel_voicebot.models import Terms

__all__ = ["Settings", "load"]

_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES: Final = {"": 1, "b": 1} | {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate("kmgt", 1)
    for unit, base in (("", 1024), ("ib", 1024), ("b", 1000))
}


def _quantity(value: object, units: dict[str, int], form: str) -> object:
    """A number with a unit, such as `30d` or `64MiB`; what is no text stays as it is."""
    if not isinstance(value, str):
        return value
    found = _QUANTITY.fullmatch(value.strip())
    if found is None or found[2].lower() not in units:
        msg = f"must be {form}"
        raise ValueError(msg)
    return float(found[1]) * units[found[2].lower()]


def _duration(value: object) -> object:
    return _quantity(value, _SECONDS, "seconds, or a number with s, m, h, d or w, such as 90s, 12h, 30d")


def _size(value: object) -> object:
    size = _quantity(value, _BYTES, "bytes, or a number with a unit, such as 500MB, 64MiB, 20GB")
    return int(size) if isinstance(size, float) else size


Duration = Annotated[float, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size)]


class Settings(BaseSettings):
    """All settings. Frozen: made once, handed down."""

    model_config = SettingsConfigDict(env_prefix="OTEL_VOICEBOT_", frozen=True, extra="forbid", env_ignore_empty=True)

    data: Path = Path("voicebot-data")
    """Directory of the Parquet files. Relative, so that a first run leaves its data beside the user."""

    capture_content: bool = False
    """Store what people said. Off: transcripts, prompts and error texts are dropped before anything is written."""

    keep_attributes: Annotated[tuple[str, ...], NoDecode] = ()
    """Text attributes of your own that hold no content and may be stored: names or globs, comma-separated."""

    dialects: Annotated[tuple[Path, ...], NoDecode] = ()
    """YAML files with the names of frameworks of your own, comma-separated."""

    metrics_addr: str = "127.0.0.1:8000"
    """HOST:PORT of the Prometheus endpoint; port 0 picks a free one, `none` switches it off. Loopback unless asked."""

    grpc_addr: str = "127.0.0.1:4317"
    """HOST:PORT where the service takes OTLP over gRPC; port 0 picks a free one, `none` switches it off."""

    http_addr: str = "127.0.0.1:4318"
    """HOST:PORT where the service takes OTLP over HTTP and answers /healthz and /readyz; the same."""

    web_addr: str = "127.0.0.1:8080"
    """HOST:PORT where the service answers Jaeger's query API, for Grafana and Jaeger's UI; the same."""

    tls_cert: Path | None = None
    """Certificate chain (PEM) of the service. With it both doors and the web port speak TLS only."""

    tls_key: Path | None = None
    """Its private key (PEM)."""

    tls_client_ca: Path | None = None
    """Authorities (PEM) that sign senders' certificates. With it a sender without such a certificate is refused."""

    bearer_token: SecretStr | None = None
    """Senders, and who asks at the web port, must say `authorization: Bearer ...` with this token."""

    max_body: Size = Field(default=64 << 20, ge=1024)
    """Bytes of one request as sent. gRPC's usual 4 MiB refuses an ordinary Collector's batch for good."""

    max_decompressed: Size = Field(default=128 << 20, ge=1024)
    """Bytes of one request when unpacked: what a compression bomb may cost."""

    max_attributes: int = Field(default=1_000, ge=1)
    """Attributes of one span, event, link or resource; those beyond are dropped and counted."""

    max_attribute_length: Size = Field(default=65_536, ge=16)
    """Characters of one text; the rest is cut off and counted."""

    memory_limit: Size = Field(default=256 << 20, ge=1 << 20)
    """Bytes of requests that are being worked on. Beyond, senders are asked to come again: that loses nothing."""

    min_free_disk: Size = Field(default=256 << 20, ge=0)
    """Bytes that stay free on the disk: below, senders are asked to come again before the disk is full."""

    dedupe_window: Duration = Field(default=3600.0, ge=0)
    """Seconds in which a repeated span is dropped at the door; later ones are dropped when the hour is merged."""

    retention: Duration | None = Field(default=None, gt=0)
    """Seconds after which data is removed, such as `90d`. Unset keeps everything."""

    disk_cap: Size | None = Field(default=None, ge=1 << 20)
    """Bytes that the data may take; beyond, the oldest hours are removed first. Unset: no cap."""

    logs_endpoint: str | None = None
    """URL that logs are sent on to over OTLP (`http://host:4318`, `grpc://host:4317`). Unset: they are stored only."""

    attach: bool = False
    """Start in a process that runs under `opentelemetry-instrument`. Off: being installed is not being asked."""

    send_to: str | None = Field(default=None, pattern=r"^(https?|grpc)://")
    """URL of a service (`http://127.0.0.1:4318`, `grpc://127.0.0.1:4317`) that zero-code doors send spans to. Unset:
    they compute in the bot's process."""

    shutdown_timeout: Duration = Field(default=10.0, gt=0)
    """Seconds that the service takes to answer what it has taken, once it is told to stop. Kubernetes waits for 30."""

    commit_interval: Duration = Field(default=10.0, gt=0, le=3600)
    """Seconds until what came in is on disk, about. 10 leaves thousands of files a day, not a hundred thousand."""

    commit_rows: int = Field(default=5000, ge=1, le=1_000_000)
    """Spans that are committed at once, whatever the interval."""

    tick_interval: Duration | None = Field(default=None, ge=0.05, le=60)
    """Seconds between two computations of what is final, at least; more where they cost over 1.3 % of a core in a bot,
    or 25 % in a service. Unset: 5 in a bot, which looks at what came in as often, and 2 in a service."""

    queue_size: int = Field(default=65_536, ge=1, le=10_000_000)
    """Spans that may wait for the worker. What comes on top is dropped and counted."""

    session_idle_timeout: Duration = Field(default=600.0, gt=0)
    """Seconds without a span after which a session is counted as it is. It is kept for an hour more: what comes then
    writes a revision of its row."""

    max_sessions: int = Field(default=10_000, ge=1)
    """Sessions held open; the longest idle one is given up (counted, marked incomplete) when there are more. Beside
    them a tenth as many that fell silent are kept."""

    max_spans: int = Field(default=500_000, ge=1)
    """Spans held in memory, of open sessions and of those that fell silent, which go first; the same rule."""

    hash_key: SecretStr | None = None
    """Key of `user.hash`. Without it no hash is made, and what counts repeat callers is null."""

    short_session_s: float = Field(default=5.0, ge=0)
    """A session abandoned before this many seconds is short: left out of rates."""

    prices: Path | None = None
    """Price file (YAML or JSON) for speech, lines and models of your own. Unset: only known model calls have a cost."""

    targets: Path | None = None
    """Latency targets (YAML or JSON) of the report's section `sla`. Unset: built-in ones."""

    quotas: Path | None = None
    """Quotas of services and budgets (YAML or JSON), for the report's sections `services` and `quotas`."""

    kpi_interval: Duration = Field(default=300.0, ge=0)
    """Seconds between two computations of the service's metrics that need stored calls (FCR, who spoke); more where
    they would take over a fifth of the time. 0 switches them off."""

    human_interaction_usd: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """What it costs when a human takes a call, USD: what `cost_savings_usd` counts for each that the bot kept."""

    def terms(self, as_of: datetime) -> "Terms":
        """What KPIs depend on beside spans and prices, for an answer as of this moment (aware)."""
        from otel_voicebot.models import Terms  # noqa: PLC0415 - settings are read without an engine

        return Terms(
            as_of=as_of,
            short_session_s=self.short_session_s,
            human_interaction_usd=self.human_interaction_usd,
            idle_timeout_s=self.session_idle_timeout,
        )

    @field_validator("keep_attributes", "dialects", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("metrics_addr", "grpc_addr", "http_addr", "web_addr")
    @classmethod
    def _address(cls, value: str) -> str:
        if value == "none":  # OpenTelemetry's word; an empty environment variable is one that is not set
            return ""
        host, colon, port = value.rpartition(":")
        if value and not (colon and host and port.isdecimal() and int(port) < 65_536):
            msg = "must be HOST:PORT, such as 127.0.0.1:8000, or none"
            raise ValueError(msg)
        return value


def load(**overrides: Any) -> Settings:
    """Settings from the environment, with ``overrides`` on top.

    Raises:
        UsageError: a value is wrong; the message names the setting, the value and what is allowed.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        value = "" if name in ("hash_key", "bearer_token") else f" {first.get('input')!r}"
        msg = f"setting {name} (OTEL_VOICEBOT_{name.upper()}):{value} {first['msg'].removeprefix('Value error, ')}"
        raise UsageError(msg) from None
