"""The head of a request, from the first byte to the empty line: bounded in time and in bytes.

So is, in bytes, what a chunked body has beside its data; its trailers are left out.

Uvicorn bounds neither, and what it cannot parse it answers in a form of its own.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from pacx.errors import HeaderTimeout, HeadTooLarge, MalformedRequest, PacxError
from pacx_server.middleware.connection import LINGER_S
from pacx_server.middleware.protection import ALWAYS, UNLESS_SAID
from pacx_server.problems import MEDIA_TYPE, describe
from pacx_server.sending import BoundedSending

LARGEST_HEAD_BYTES = 64 * 1024


def bounded_connections(
    head_timeout_s: float, send_timeout_s: float, on_refusal: Callable[[PacxError], None]
) -> type[BoundedSending]:
    """Make the protocol of connections whose requests must begin, and whose answers go, in time.

    Args:
        head_timeout_s: From the connection, or from the first byte of a further request, to the
            end of the head.
        send_timeout_s: How long a client may take nothing of its answer.
        on_refusal: Told every refusal; the request never comes to the application.
    """

    class Bounded(_BoundedHeads):
        pass

    Bounded.timeout_s = head_timeout_s
    Bounded.send_timeout_s = send_timeout_s
    Bounded.on_refusal = staticmethod(on_refusal)
    return Bounded


class _BoundedHeads(BoundedSending):
    timeout_s: float
    on_refusal: Callable[[PacxError], None]
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = False
    _body_came = False
    _framing_bytes = 0
    _refusal: PacxError | None = None
    _in_work: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        _hang_up(self._in_work)  # uvicorn tells only the last of several requests
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return  # what follows cannot be read, and is taken only so that nothing is lost
        if self._deadline is None and not self._answering:
            self._begin()  # also by blank lines, which the parser leaves out
        before, self._body_came = self._deadline, False
        super().data_received(data)
        if self._deadline is None:
            self._bound_framing(len(data))
            return
        # A head that begins within the data stands behind bytes of the request before it.
        self._head_bytes += len(data) if self._deadline is before else 1
        if self._head_bytes > LARGEST_HEAD_BYTES:
            self._refuse(HeadTooLarge(f"A head may have at most {LARGEST_HEAD_BYTES} bytes."))

    def on_message_begin(self) -> None:
        if self._deadline is None:
            self._begin()
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what stands behind a body is no field of the head (RFC 9110, 6.5.1)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._end()
        self._in_head = False
        self._framing_bytes = 0
        super().on_headers_complete()
        if not self._last_waits:
            self._in_work = self.cycle

    def on_body(self, body: bytes) -> None:
        self._body_came = True
        super().on_body(body)

    def on_response_complete(self) -> None:
        if self.pipeline:
            self._in_work = self.pipeline[-1][0]
        super().on_response_complete()
        if self._answering:
            return
        if self._refusal is not None:
            self._answer(self._refusal)
        elif self._deadline is not None:  # the head had to wait, and its sender with it
            self._deadline.cancel()
            self._deadline = self.loop.call_later(self.timeout_s, self._expire)

    def send_400_response(self, msg: str) -> None:
        del msg
        self._refuse(MalformedRequest("This is no request of HTTP/1.1."))

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not (
            self.cycle.response_complete or self.cycle.disconnected
        )

    @property
    def _last_waits(self) -> bool:
        """Whether the last request that came waits for the answer to another."""
        return bool(self.pipeline) and self.pipeline[0][0] is self.cycle

    def _begin(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(self.timeout_s, self._expire)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _bound_framing(self, size_bytes: int) -> None:
        """Count what comes in place of a body, in extensions of its chunks and in trailers."""
        waited_for = self.cycle is not None and self.cycle.more_body
        self._framing_bytes += size_bytes if waited_for and not self._body_came else 0
        if self._framing_bytes > LARGEST_HEAD_BYTES:
            limit = f"{LARGEST_HEAD_BYTES} bytes"
            self._refuse(HeadTooLarge(f"Trailers and extensions of chunks have at most {limit}."))

    def _expire(self) -> None:
        if self._answering:  # a head that came before its turn waits for the answer before it
            self._deadline = self.loop.call_later(self.timeout_s, self._expire)
        elif self._head_bytes:
            self._refuse(HeaderTimeout("The request's head did not arrive in time."))
        else:
            self._end()
            self.transport.close()

    def _refuse(self, error: PacxError) -> None:
        """Answer with an error, after what came whole before it has been answered."""
        if self._refusal is not None:
            return  # one is enough
        self._end()
        self._refusal = error
        self._give_up_body()
        if not self._answering:
            self._answer(error)

    def _give_up_body(self) -> None:
        """Take back a request whose body cannot be read to its end."""
        if not self._answering or not self.cycle.more_body:
            return
        if self._last_waits and self._in_work is not None:
            self.pipeline.popleft()
            self.cycle = self._in_work
        else:
            _hang_up(self.cycle)

    def _answer(self, error: PacxError) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None and self.cycle.response_started != self.cycle.response_complete:
            self.transport.close()  # in the middle of another answer
            return
        self.transport.write(_message(error))
        self.on_refusal(error)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        # To close while more comes would make the system drop the answer.
        self._deadline = self.loop.call_later(LINGER_S, self.transport.close)


def _hang_up(cycle: RequestResponseCycle | None) -> None:
    """Tell a request's application that the client has left."""
    if cycle is not None and not cycle.response_complete:
        cycle.disconnected = True
        cycle.message_event.set()


def _message(error: PacxError) -> bytes:
    problem = describe(error, uuid.uuid4().hex)
    body = problem.model_dump_json().encode()
    lines = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        f"content-type: {MEDIA_TYPE}",
        f"content-length: {len(body)}",
        f"x-request-id: {problem.request_id}",
        *(f"{name}: {value}" for name, value in (ALWAYS | UNLESS_SAID).items()),
        "connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
