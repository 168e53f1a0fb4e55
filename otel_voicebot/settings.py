"""The only reader of environment and configuration: every setting, its default and why.

Each field is also the environment variable ``OTEL_VOICEBOT_<NAME>``. A wrong value is a ``UsageError`` that names the
setting and the value.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from otel_voicebot.errors import UsageError

__all__ = ["Settings", "load"]


class Settings(BaseSettings):
    """All settings. Frozen: made once, handed down."""

    model_config = SettingsConfigDict(env_prefix="OTEL_VOICEBOT_", frozen=True, extra="forbid", env_ignore_empty=True)

    data: Path = Path("voicebot-data")
    """Directory of the Parquet files. Relative, so that a first run leaves its data beside the user."""

    capture_content: bool = False
    """Store what people said. Off: transcripts, prompts and error texts are dropped before anything is written."""

    keep_attributes: Annotated[tuple[str, ...], NoDecode] = ()
    """Text attributes of your own that hold no content and may be stored: names or globs, comma-separated."""

    metrics_addr: str = "127.0.0.1:8000"
    """HOST:PORT of the Prometheus endpoint; port 0 picks a free one, `none` switches it off. Loopback unless asked."""

    commit_interval: float = Field(default=10.0, gt=0, le=3600)
    """Seconds until what came in is on disk, at most. 10 leaves thousands of files a day, not a hundred thousand."""

    commit_rows: int = Field(default=5000, ge=1, le=1_000_000)
    """Spans that are committed at once, whatever the interval."""

    tick_interval: float = Field(default=2.0, ge=0.05, le=60)
    """Seconds between two computations of what is final, at least; more where they cost over 1.3 % of a core."""

    queue_size: int = Field(default=65_536, ge=1, le=10_000_000)
    """Spans that may wait for the worker. What comes on top is dropped and counted."""

    session_idle_timeout: float = Field(default=600.0, gt=0)
    """Seconds without a span after which a session counts as ended."""

    max_sessions: int = Field(default=10_000, ge=1)
    """Sessions held open; the longest idle one is given up (counted, marked incomplete) when there are more."""

    max_spans: int = Field(default=500_000, ge=1)
    """Spans of open sessions held in memory, all together; the same rule."""

    hash_key: SecretStr | None = None
    """Key of `user.hash`. Without it no hash is made, and what counts repeat callers is null."""

    short_session_s: float = Field(default=5.0, ge=0)
    """A session abandoned before this many seconds is short: left out of rates."""

    @field_validator("keep_attributes", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("metrics_addr")
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
        value = "" if name == "hash_key" else f" {first.get('input')!r}"
        msg = f"setting {name} (OTEL_VOICEBOT_{name.upper()}):{value} {first['msg'].removeprefix('Value error, ')}"
        raise UsageError(msg) from None
