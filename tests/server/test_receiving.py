"""Bodies arrive whole and in large pieces, and take nothing of the request behind them along."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from pacx_server.receiving import LARGEST_PIECE_BYTES, USUAL_PIECE_BYTES, LargePieces

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Pieces:
    """An application that answers with the hash of a body, and keeps how it came."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        digest = hashlib.sha256()
        async for piece in Request(scope, receive).stream():
            digest.update(piece)
            self.sizes.append(len(piece))
        await PlainTextResponse(digest.hexdigest())(scope, receive, send)


@asynccontextmanager
async def serving(app: Pieces) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app, port=0, http=LargePieces, lifespan="off", log_config=None, loop="asyncio"
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def answers(port: int, requests: list[bytes], count: int) -> list[str]:
    """Send requests one behind the other without waiting, and read the hashes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(requests))
    found = []
    for _ in range(count):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        found.append((await reader.readexactly(64)).decode())
    writer.close()
    await writer.wait_closed()
    return found


def post(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def test_a_long_body_comes_in_few_pieces() -> None:
    body, app = bytes(range(256)) * 2**17, Pieces()

    async def scenario() -> list[str]:
        async with serving(app) as port:
            return await answers(port, [post(body)], 1)

    assert asyncio.run(scenario()) == [hashlib.sha256(body).hexdigest()]
    assert 2 * USUAL_PIECE_BYTES < max(app.sizes) <= LARGEST_PIECE_BYTES


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 3 * 2**20), min_size=1, max_size=4))
def test_requests_one_behind_the_other_keep_their_bodies(lengths: list[int]) -> None:
    bodies = [bytes([65 + index]) * length for index, length in enumerate(lengths)]

    async def scenario() -> list[str]:
        async with serving(Pieces()) as port:
            requests = [request for body in bodies for request in (post(body), GET)]
            return await answers(port, requests, len(requests))

    expected = [hashlib.sha256(part).hexdigest() for body in bodies for part in (body, b"")]
    assert asyncio.run(scenario()) == expected


def test_a_body_of_undeclared_length_comes_whole() -> None:
    body = b"a" * 3 * USUAL_PIECE_BYTES
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    request = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 2

    async def scenario() -> list[str]:
        async with serving(Pieces()) as port:
            return await answers(port, [request + b"0\r\n\r\n", GET], 2)

    whole, empty = (hashlib.sha256(part).hexdigest() for part in (body * 2, b""))
    assert asyncio.run(scenario()) == [whole, empty]
