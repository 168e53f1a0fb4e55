"""Paired measurements of otel_voicebot: ``python -m bench``."""
