"""Watches the connection: a client that leaves is noticed, one that is refused can read why."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

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
    """One request and its answer; whoever waits on the connection notices that the client left.

    While the body comes, that is the application, which asks for it piece by piece: a client that
    waits for "100 Continue" must not send a body that is going to be refused. After that it is a
    watch of our own.
    """

    def __init__(self, receive: Receive, send: Send, *, body_ended: bool) -> None:
        self._receive = receive
        self._send = send
        self._body_ended = body_ended
        self._answered = False
        self._watch: asyncio.Task[None] | None = None
        self._left = asyncio.Event()

    async def race(self, app: ASGIApp, scope: Scope) -> None:
        loop = asyncio.get_running_loop()
        answering = loop.create_task(_run(app, scope, self.receive, self.send))
        leaving = loop.create_task(self._left.wait())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                await answering
            elif not self._answered:
                raise ClientClosed
        finally:
            await _cancel(answering, leaving, *([self._watch] if self._watch else []))

    async def receive(self) -> Message:
        if self._watch is None:
            message = await self._receive()
            if message["type"] != "http.disconnect":
                self._body_ended = not message.get("more_body", False)
                if self._body_ended:
                    self._watch = asyncio.get_running_loop().create_task(self._watching())
                return message
            self._left.set()
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never  # until the race is over

    async def _watching(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left.set()

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


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _is_last(message: Message) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body", False)


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
