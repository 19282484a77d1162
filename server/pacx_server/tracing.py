"""Traces for OpenTelemetry, where the environment asks for them by the standard's own names.

A request is written down when it has ended, from the times that its context kept: while it is in
work there is nothing to do, and no library sees more of it than is said here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from importlib.metadata import version
from threading import Timer
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import Scope

from pacx.errors import ExtraMissing, SettingsError
from pacx_server.context import OK, RequestContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

PATIENCE_S = 2.0
"""How long the server's end waits for a collector that does not answer."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Tracing:
    """Sends a span for every request and one for each of its phases.

    Args:
        provider: Samples and batches.
        exporter: Sends what the provider has batched.
    """

    def __init__(self, provider: TracerProvider, exporter: SpanExporter) -> None:
        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("pacx_server", version("pacx"))

    def record(self, scope: Scope, route: str, context: RequestContext, status: int | None) -> str:
        """Write down a request that has ended; nothing that its caller chose is part of it.

        Args:
            scope: Of the request; its headers may name the trace that it belongs to.
            route: As the application declares it.
            context: What is known about the request.
            status: Of the answer, None where the caller left before it.

        Returns:
            The trace's identifier.
        """
        from opentelemetry import propagate
        from opentelemetry.trace import SpanKind, set_span_in_context

        clock = _Clock(context)
        method = scope["method"]
        span = self._tracer.start_span(
            f"{method} {route}",
            propagate.extract(Headers(scope=scope)),
            SpanKind.SERVER,
            _attributes(method, route, scope.get("scheme", "http"), context, status),
            start_time=clock.at(context.started),
        )
        if status is not None and status >= 500:
            _fail(span, context.outcome)
        inside = set_span_in_context(span)
        for phase in context.phases:
            part = self._tracer.start_span(
                phase.name, inside, attributes=phase.attributes, start_time=clock.at(phase.start_s)
            )
            if phase.outcome != OK:
                _fail(part, phase.outcome)
            part.end(clock.at(phase.end_s))
        span.end(clock.now)
        return f"{span.get_span_context().trace_id:032x}"

    def close(self) -> None:
        """Send what has not been sent yet; blocking."""
        impatience = Timer(PATIENCE_S, self._exporter.shutdown)
        impatience.start()
        self._provider.shutdown()
        impatience.cancel()


class _Clock:
    """From the readings of ``time.perf_counter`` to nanoseconds since 1970."""

    def __init__(self, context: RequestContext) -> None:
        self.now = time.time_ns()
        self._counter = context.started + context.total_s

    def at(self, reading_s: float) -> int:
        return self.now - int((self._counter - reading_s) * 1e9)


def open_tracing() -> Tracing | None:
    """Traces as the environment wants them, None where it does not.

    Raises:
        SettingsError: They are to be sent in a way that is not offered.
        ExtraMissing: OpenTelemetry is not installed.
    """
    if not _wanted(os.environ):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ExtraMissing(
            "The environment asks for traces (OTEL_*), and OpenTelemetry is not installed: "
            'pip install "pacx[telemetry]", or set OTEL_TRACES_EXPORTER=none.'
        ) from error
    ours = {"service.name": "pacx", "service.version": version("pacx")}
    resource = Resource.create({**ours, **OTELResourceDetector().detect().attributes})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, exporter)


def _wanted(environment: Mapping[str, str]) -> bool:
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    if exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    endpoint = _first(environment, _ENDPOINTS)
    if not exporter and not endpoint:
        return False
    if exporter not in ("", "otlp"):
        raise SettingsError("OTEL_TRACES_EXPORTER: traces are sent by otlp, or by none.")
    if _first(environment, _PROTOCOLS) not in ("", "http/protobuf"):
        raise SettingsError("OTEL_EXPORTER_OTLP_PROTOCOL: traces are sent as http/protobuf.")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise SettingsError("OTEL_EXPORTER_OTLP_ENDPOINT: it begins with http:// or https://.")
    return True


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


def _attributes(
    method: str, route: str, scheme: str, context: RequestContext, status: int | None
) -> dict[str, str | int]:
    """By OpenTelemetry's conventions, without the address and the query as they were sent."""
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "http.route": route,
        "url.scheme": scheme,
        "pacx.outcome": context.outcome,
    }
    if status is not None:
        attributes["http.response.status_code"] = status
    if context.model is not None:
        attributes["pacx.model"] = context.model
    return attributes


def _fail(span: Span, outcome: str) -> None:
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", outcome)
