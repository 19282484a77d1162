"""What is known about the request in hand; it lives in the ASGI scope and ends with the answer."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import Scope

from pacx.errors import PacxError

OK = "ok"
_KEY = "pacx.context"
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
# Version ff and identifiers of zeros alone are none (W3C Trace Context, section 3.2.2).
_TRACE_PARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of the way of one file.

    Attributes:
        name: ``receive``, ``decode``, ``queue``, ``inference``, ``explain`` or ``render``.
        start_s: ``time.perf_counter``.
        end_s: ``time.perf_counter``.
        outcome: ``ok``, the code of the problem that ended it, or ``cancelled``.
        attributes: Numbers about it.
    """

    name: str
    start_s: float
    end_s: float
    outcome: str = OK
    attributes: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """One request on its way.

    Attributes:
        request_id: The caller's ``x-request-id`` where it is a plain token, else a fresh one.
        trace_id: From W3C ``traceparent``, or where traces are written; else None.
        started: ``time.perf_counter`` at the request line.
        arrived: The event loop's time at the request line.
        caller: Name of the principal, once it is known.
        model: ``name@version`` of the model that was asked, once it is known.
        studies: Pseudonyms of the studies, where the audit log wants them.
        outcome: ``ok``, the code of the problem, or ``client_closed``.
        queue_s: Longest wait for the engine, of all images of the request.
        inference_s: Longest batch that an image of the request was in.
        phases: Of all files, in the order in which they ended.
    """

    request_id: str
    trace_id: str | None
    started: float = field(default_factory=time.perf_counter)
    arrived: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    caller: str | None = None
    model: str | None = None
    studies: list[str] = field(default_factory=list)
    outcome: str = OK
    queue_s: float | None = None
    inference_s: float | None = None
    phases: list[Phase] = field(default_factory=list)

    @property
    def total_s(self) -> float:
        """Seconds since the request line."""
        return time.perf_counter() - self.started

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Keep when the block began and ended, and how."""
        start_s = time.perf_counter()
        try:
            yield
        except BaseException as error:
            self.end_phase(name, start_s, error)
            raise
        self.end_phase(name, start_s)

    def end_phase(self, name: str, start_s: float, error: BaseException | None = None) -> None:
        """Keep a phase that ends now, by an error or without one."""
        outcome = OK if error is None else _outcome(error)
        phase = Phase(name=name, start_s=start_s, end_s=time.perf_counter(), outcome=outcome)
        self.phases.append(phase)

    def observe(self, *, queue_s: float, inference_s: float, batch_size: int) -> None:
        """Keep what an image has just had: its wait for the engine, and its batch."""
        self.queue_s = max(queue_s, self.queue_s or 0.0)
        self.inference_s = max(inference_s, self.inference_s or 0.0)
        end_s = time.perf_counter()
        began_s = end_s - inference_s
        batch = {"pacx.batch_size": batch_size}
        self.phases += (
            Phase(name="queue", start_s=began_s - queue_s, end_s=began_s),
            Phase(name="inference", start_s=began_s, end_s=end_s, attributes=batch),
        )


def _outcome(error: BaseException) -> str:
    if isinstance(error, PacxError):
        return error.code
    return "cancelled" if isinstance(error, asyncio.CancelledError) else PacxError.code


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
