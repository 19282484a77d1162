"""Gives every request an id, and counts and logs how it ended."""

from __future__ import annotations

import asyncio

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pacx.errors import NotReady
from pacx_server.audit import AuditLog
from pacx_server.context import OK, RequestContext, open_context
from pacx_server.middleware.connection import ClientClosed
from pacx_server.problems import respond_to, respond_to_fault
from pacx_server.telemetry import Telemetry
from pacx_server.tracing import Tracing

QUIET = ("/health", "/livez", "/readyz", "/metrics", "/static")
"""Routes that are asked so often that their success is no news."""

_ENDING = NotReady("The server ended before it could answer.", retry_after_s=5)

log = structlog.get_logger("pacx.access")


class Observation:
    """Nothing that happens inside leaves without a trace; outside it headers are added only."""

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry, audit: AuditLog, tracing: Tracing | None
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._audit = audit
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request and record its outcome."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = open_context(scope)
        answer = _Answer(send, context)
        with structlog.contextvars.bound_contextvars(request_id=context.request_id):
            try:
                await self._answered(scope, receive, answer)
            finally:
                self._record(scope, context, answer.status)

    async def _answered(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self._app(scope, receive, answer.send)
        except ClientClosed:
            answer.context.outcome = "client_closed"
        except asyncio.CancelledError:  # the time to drain is over
            answer.context.outcome = "cancelled"
            if answer.status is not None:
                raise
            await respond_to(_ENDING, scope)(scope, receive, answer.send)
        except Exception:
            log.exception("a request failed unforeseen")
            fault = respond_to_fault(scope)
            if answer.status is None:
                await fault(scope, receive, answer.send)

    def _record(self, scope: Scope, context: RequestContext, status: int | None) -> None:
        route = _route(scope)
        self._telemetry.requests.labels(route, context.outcome).inc()
        self._telemetry.request_s.labels(route).observe(context.total_s)
        if context.outcome != OK or not route.startswith(QUIET):
            if self._tracing is not None:
                context.trace_id = self._tracing.record(scope, route, context, status)
            self._audit.write(route, context, status)
            _say(route, scope["method"], context, status)


class _Answer:
    """The way back, which adds the headers that every answer has."""

    def __init__(self, send: Send, context: RequestContext) -> None:
        self._send = send
        self.context = context
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._label(MutableHeaders(scope=message))
        await self._send(message)

    def _label(self, headers: MutableHeaders) -> None:
        headers["x-request-id"] = self.context.request_id
        headers["x-total-time"] = milliseconds(self.context.total_s)
        if self.context.queue_s is not None:
            headers["x-queue-time"] = milliseconds(self.context.queue_s)
        if self.context.inference_s is not None:
            headers["x-inference-time"] = milliseconds(self.context.inference_s)


def _route(scope: Scope) -> str:
    """The address as the application declares it, never as it was sent."""
    path: str | None = getattr(scope.get("route"), "path_format", None)
    mounted: str = scope.get("root_path", "")
    return path or mounted or "none"


def milliseconds(seconds: float) -> str:
    """Write a duration as milliseconds with one decimal."""
    return f"{seconds * 1000:.1f}"


def _say(route: str, method: str, context: RequestContext, status: int | None) -> None:
    log.info(
        "request",
        method=method,
        route=route,
        status=status,
        outcome=context.outcome,
        caller=context.caller,
        model=context.model,
        trace_id=context.trace_id,
        duration_ms=round(context.total_s * 1000, 1),
    )
