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
        if self._writer is not None:
            self._writer.close()

    async def ask(self, request: bytes) -> Answer:
        """Send a prepared request and read its answer; the first one opens the connection."""
        if self._writer is None:
            await self._open()
        started = time.perf_counter()
        try:
            status, kept = await self._exchange(request)
        except (ConnectionError, asyncio.IncompleteReadError):
            status, kept = 0, False
        seconds = time.perf_counter() - started
        if not kept:
            await self._open()
        return Answer(status, seconds)

    async def _exchange(self, request: bytes) -> tuple[int, bool]:
        if self._reader is None or self._writer is None:
            raise ConnectionError
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        await self._reader.readexactly(int(fields["content-length"]))
        return int(head.split(" ", 2)[1]), fields.get("connection") != "close"

    async def _open(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)


def post(path: str, body: bytes, media_type: str = "application/dicom") -> bytes:
    """A prepared POST."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


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
