"""What is known about the request in hand; it lives in the ASGI scope and ends with the answer."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import Scope

_KEY = "pacx.context"
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """One request on its way.

    Attributes:
        request_id: The caller's ``x-request-id`` where it is a plain token, else a fresh one.
        trace_id: From W3C ``traceparent``, else None.
        started: ``time.perf_counter`` at the request line.
        arrived: The event loop's time at the request line.
        caller: Name of the principal, once it is known.
        model: ``name@version`` of the model that was asked, once it is known.
        studies: Pseudonyms of the studies, where the audit log wants them.
        outcome: ``ok``, the code of the problem, or ``client_closed``.
        queue_s: Longest wait for the engine, of all images of the request.
        inference_s: Longest batch that an image of the request was in.
    """

    request_id: str
    trace_id: str | None
    started: float = field(default_factory=time.perf_counter)
    arrived: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    caller: str | None = None
    model: str | None = None
    studies: list[str] = field(default_factory=list)
    outcome: str = "ok"
    queue_s: float | None = None
    inference_s: float | None = None

    @property
    def total_s(self) -> float:
        """Seconds since the request line."""
        return time.perf_counter() - self.started

    def observe(self, *, queue_s: float, inference_s: float) -> None:
        """Keep the longest times of all images."""
        self.queue_s = max(queue_s, self.queue_s or 0.0)
        self.inference_s = max(inference_s, self.inference_s or 0.0)


def open_context(scope: Scope) -> RequestContext:
    """Start the context of a request that has just arrived."""
    headers = Headers(scope=scope)
    offered = headers.get("x-request-id", "")
    trace = _TRACE_PARENT.fullmatch(headers.get("traceparent", ""))
    context = RequestContext(
        request_id=offered if _ACCEPTED_ID.fullmatch(offered) else uuid.uuid4().hex,
        trace_id=trace.group(1) if trace else None,
    )
    scope[_KEY] = context
    return context


def context_of(scope: Scope) -> RequestContext:
    """The context of the request in hand."""
    context: RequestContext = scope[_KEY]
    return context
