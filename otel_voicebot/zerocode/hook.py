"""What ``opentelemetry-instrument`` calls when it has set everything up."""

from otel_voicebot.settings import load

__all__ = ["after_instrument"]


def after_instrument() -> None:
    """Start here, where the environment asks for it: being installed is not being asked.

    Raises:
        UsageError: a setting is wrong. OpenTelemetry logs it and starts the program without us.
    """
    settings = load()
    if settings.attach or settings.send_to:
        from otel_voicebot.zerocode.start import start  # noqa: PLC0415 - half a second, for who wants it

        start()
