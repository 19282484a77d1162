"""Watches the connection: a client that leaves is noticed, one that is refused can read why."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 2.0
"""How long an answered client may go on sending, so that it reads the answer (nginx' lingering)."""


class ClientClosed(Exception):
    """The client left before it had its answer; the request was cancelled."""


class Connection:
    """Cancels requests whose client has gone (serving.md: handlers are not cancelled by ASGI)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Race the application against ``http.disconnect``.

        Raises:
            ClientClosed: The client left first.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send, body_ended=not _has_body(Headers(scope=scope)))
        await exchange.race(self._app, scope)


class _Exchange:
    """One request and its answer, with a pump between the connection and the application."""

    def __init__(self, receive: Receive, send: Send, *, body_ended: bool) -> None:
        self._receive = receive
        self._send = send
        self._messages: asyncio.Queue[Message] = asyncio.Queue(1)
        # Nothing is read before the application asks for it: a client that waits for
        # "100 Continue" must not send a body that is going to be refused.
        self._wanted = asyncio.Event()
        self._body_ended = body_ended
        self._answered = False

    async def race(self, app: ASGIApp, scope: Scope) -> None:
        loop = asyncio.get_running_loop()
        answering = loop.create_task(_run(app, scope, self.receive, self.send))
        pumping = loop.create_task(self._pump())
        try:
            await asyncio.wait({answering, pumping}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                await answering
            elif not self._answered:
                raise ClientClosed
        finally:
            await _cancel(answering, pumping)

    async def receive(self) -> Message:
        self._wanted.set()
        return await self._messages.get()

    async def send(self, message: Message) -> None:
        self._answered = _is_last(message)
        if self._body_ended:
            await self._send(message)
        elif message["type"] == "http.response.start":
            closing = [*message["headers"], (b"connection", b"close")]
            await self._send({**message, "headers": closing})
        elif self._answered:
            await self._linger(message)
        else:
            await self._send(message)

    async def _linger(self, last: Message) -> None:
        """Answer a client that is still sending, and read on for a while before closing."""
        await self._send({**last, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._body_ended:
                    await self.receive()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self) -> None:
        """Pass the body on chunk by chunk; return when the client has left."""
        await self._wanted.wait()
        while (message := await self._receive())["type"] != "http.disconnect":
            self._body_ended = not message.get("more_body", False)
            await self._messages.put(message)


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _is_last(message: Message) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body", False)


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
