"""The SDK's door: span processors and the exporter that run inside the bot's process."""
