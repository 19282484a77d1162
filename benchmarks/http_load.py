"""A client that costs next to nothing, so that two cores are left to the server under test."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

MEBIBYTE = 2**20
REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "docs" / "results"
END = b"\r\n\r\n"
EXPECTING = b"expect: 100-continue\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status of one request and how long it took; status 0 where the connection broke."""

    status: int
    seconds: float


class Connection:
    """One kept HTTP/1.1 connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    async def ask(self, request: bytes) -> Answer:
        """Send a prepared request and read its answer; a connection is opened where none is."""
        started = time.perf_counter()
        try:
            if self._writer is None:
                await self._open()
            status, kept = await self._exchange(request)
        except (ConnectionError, asyncio.IncompleteReadError):
            status, kept = 0, False
        seconds = time.perf_counter() - started
        if not kept:
            self._close()
        return Answer(status, seconds)

    async def _exchange(self, request: bytes) -> tuple[int, bool]:
        if self._reader is None or self._writer is None:
            raise ConnectionError
        body = request.index(END) + len(END)
        sent = body if EXPECTING in request[:body] else len(request)
        self._writer.write(memoryview(request)[:sent])
        answer = await self._reader.readuntil(END)
        if answer.startswith(b"HTTP/1.1 100 "):
            self._writer.write(memoryview(request)[sent:])
            answer = await self._reader.readuntil(END)
        head = answer.decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        await self._reader.readexactly(int(fields["content-length"]))
        return int(head.split(" ", 2)[1]), fields.get("connection") != "close"

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)


def post(
    path: str, body: bytes, media_type: str = "application/dicom", *, expecting: bool = False
) -> bytes:
    """A prepared POST.

    Args:
        path: What is asked.
        body: What is sent.
        media_type: Of the body.
        expecting: Whether the body waits for "100 Continue", as curl does with long ones.
    """
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\n".encode()
    expectation = EXPECTING if expecting else b""
    return head + expectation + f"content-length: {len(body)}".encode() + END + body


def get(path: str) -> bytes:
    """A prepared GET."""
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


async def closed_loop(port: int, request: bytes, *, callers: int, seconds: float) -> list[Answer]:
    """Ask again as soon as an answer is there, with so many callers, for so long."""
    end = time.perf_counter() + seconds
    answers: list[Answer] = []

    async def call() -> None:
        async with Connection(port) as connection:
            while time.perf_counter() < end:
                answers.append(await connection.ask(request))

    await asyncio.gather(*(call() for _ in range(callers)))
    return answers


def machine() -> str:
    """What the numbers were taken on, and how busy it was."""
    load = psutil.getloadavg()[0]
    return f"{psutil.cpu_count()} cores, load average {load:.1f} at the end"
