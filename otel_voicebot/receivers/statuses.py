"""Answers in the bytes of OTLP: partial success, and google.rpc.Status with RetryInfo."""

import math
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_voicebot.receivers.answers import Accepted, Refused

__all__ = ["DOORS", "accepted", "metrics_accepted", "refused"]

DOORS: Final = ("traces", "logs", "metrics")
"""The signals that have a door. Metrics have one in order to be told so in OTLP's own words."""

_INVALID_ARGUMENT, _UNAVAILABLE, _UNAUTHENTICATED = 3, 14, 16
_NO_METRICS: Final = (
    "metrics are not accepted here: otel-voicebot derives its metrics from spans; send metrics to your metrics backend"
)


def accepted(signal: str, answer: Accepted, *, as_json: bool = False) -> bytes:
    """The response message; ``partial_success`` is set only where something was rejected."""
    response: Any
    if signal == "traces":
        response = ExportTraceServiceResponse()
        if answer.rejected:
            response.partial_success.rejected_spans = answer.rejected
    elif signal == "logs":
        response = ExportLogsServiceResponse()
        if answer.rejected:
            response.partial_success.rejected_log_records = answer.rejected
    else:
        response = ExportMetricsServiceResponse()
        if answer.rejected:
            response.partial_success.rejected_data_points = answer.rejected
    if answer.message:
        response.partial_success.error_message = answer.message
    return _encoded(response, as_json=as_json)


def metrics_accepted(content: bytes, *, is_json: bool) -> Accepted:
    """The answer to metrics: all their points are rejected, as a success, which stops no pipeline."""
    points = 0
    try:
        request = ExportMetricsServiceRequest()
        if is_json:
            json_format.Parse(content, request, ignore_unknown_fields=True)
        else:
            request.ParseFromString(content)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    points += len(getattr(metric, kind).data_points) if kind else 0
    except (DecodeError, json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError, SystemError):
        points = 0  # unreadable, and not wanted anyway
    return Accepted(points, _NO_METRICS)


def refused(answer: Refused, *, authentic: bool = True, as_json: bool = False) -> bytes:
    """A ``google.rpc.Status`` that says why, and when to try again."""
    code = _INVALID_ARGUMENT if authentic else _UNAUTHENTICATED
    details = []
    if answer.retry_after_s is not None:
        code = _UNAVAILABLE
        info, packed = RetryInfo(), AnyMessage()
        nanos = math.ceil(answer.retry_after_s * 1e9)
        info.retry_delay.seconds, info.retry_delay.nanos = divmod(nanos, 1_000_000_000)
        packed.Pack(info)
        details.append(packed)
    return _encoded(Status(code=code, message=answer.message, details=details), as_json=as_json)


def _encoded(message: Any, *, as_json: bool) -> bytes:
    if as_json:
        return json_format.MessageToJson(message, indent=None).encode()
    encoded: bytes = message.SerializeToString()
    return encoded
