"""The head of a request, from the first byte to the empty line: bounded in time and in bytes.

Uvicorn bounds neither, and what it cannot parse it answers in a form of its own.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pacx.errors import HeaderTimeout, HeadTooLarge, MalformedRequest, PacxError
from pacx_server.problems import MEDIA_TYPE, describe

LARGEST_HEAD_BYTES = 64 * 1024


def bounded_heads(
    timeout_s: float, on_refusal: Callable[[PacxError], None]
) -> type[HttpToolsProtocol]:
    """Make the protocol of connections whose requests must begin in time.

    Args:
        timeout_s: From the connection, or from the first byte of a further request, to the end
            of the head.
        on_refusal: Told every refusal; the request never comes to the application.
    """

    class Bounded(_BoundedHeads):
        pass

    Bounded.timeout_s = timeout_s
    Bounded.on_refusal = staticmethod(on_refusal)
    return Bounded


class _BoundedHeads(HttpToolsProtocol):
    timeout_s: float
    on_refusal: Callable[[PacxError], None]
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and not self._answering:
            self._begin()  # also by blank lines, which the parser leaves out
        super().data_received(data)
        if self._deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD_BYTES:
                self._refuse(HeadTooLarge(f"A head may have at most {LARGEST_HEAD_BYTES} bytes."))

    def on_message_begin(self) -> None:
        if self._deadline is None:
            self._begin()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._end()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        del msg
        self._refuse(MalformedRequest("This is no request of HTTP/1.1."))

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _begin(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(self.timeout_s, self._expire)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        if self._answering:  # a head that came before its turn waits for the answer before it
            self._deadline = self.loop.call_later(self.timeout_s, self._expire)
        elif self._head_bytes:
            self._refuse(HeaderTimeout("The request's head did not arrive in time."))
        else:
            self._end()
            self.transport.close()

    def _refuse(self, error: PacxError) -> None:
        self._end()
        if not self._answering and not self.transport.is_closing():
            self.transport.write(_message(error))
            self.on_refusal(error)
        self.transport.close()


def _message(error: PacxError) -> bytes:
    problem = describe(error, uuid.uuid4().hex)
    body = problem.model_dump_json().encode()
    lines = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        f"content-type: {MEDIA_TYPE}",
        f"content-length: {len(body)}",
        f"x-request-id: {problem.request_id}",
        "connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
