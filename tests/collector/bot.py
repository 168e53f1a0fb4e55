"""The demo's bot with two doors: its own pipeline, and OTLP to a Collector.

``python -m tests.collector.bot DATA COLLECTOR CALLS`` holds calls and ends when both doors have let everything out.
"""

import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otel_voicebot as vb
from otel_voicebot.demo.run import run


def main() -> None:
    """Hold the calls."""
    data, address, calls = sys.argv[1:]
    vb.configure(data=data, create_provider=True, metrics_addr="none")
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"http://{address}", insecure=True)))
    run(int(calls), concurrency=int(calls), real_time=False)
    provider.shutdown()


if __name__ == "__main__":
    main()
