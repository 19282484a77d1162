"""What the server and a decoding process say to each other: messages behind their length.

The process waits for them; the server, which has other things to do, comes back when they are
there, without a thread that would have to be woken twice.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from multiprocessing.connection import Connection

_LENGTH = struct.Struct("!I")


def read_message(connection: Connection) -> bytes:
    """Wait for a message; for the process.

    Raises:
        EOFError: The other end is closed.
    """
    (size,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
    return _read(connection, size)


def write_message(connection: Connection, message: bytes, *attachments: bytes | memoryview) -> None:
    """Write a message and what follows it without a length of its own; for the process.

    Raises:
        BrokenPipeError: The other end is closed.
    """
    rest = [memoryview(part) for part in (_LENGTH.pack(len(message)), message, *attachments)]
    while rest:
        count = os.writev(connection.fileno(), rest)
        while rest and count >= len(rest[0]):
            count -= len(rest.pop(0))
        if rest:
            rest[0] = rest[0][count:]


async def send_message(end: socket.socket, message: bytes) -> None:
    """Send a message; for the server, whose ``end`` does not block.

    Raises:
        OSError: The other end is closed.
    """
    await asyncio.get_running_loop().sock_sendall(end, _LENGTH.pack(len(message)) + message)


async def receive_message(end: socket.socket, largest_bytes: int) -> bytearray:
    """Wait for a message; for the server.

    Raises:
        EOFError: The other end is closed.
        OSError: The message is longer than it may be.
    """
    (size,) = _LENGTH.unpack(await receive_exactly(end, _LENGTH.size))
    if size > largest_bytes:
        raise OSError("The message is too long.")
    return await receive_exactly(end, size)


async def receive_exactly(end: socket.socket, size: int) -> bytearray:
    """Wait for so many bytes, without a copy of them; for the server.

    Raises:
        EOFError: The other end was closed before.
    """
    loop, data = asyncio.get_running_loop(), bytearray(size)
    rest = memoryview(data)
    while rest:
        count = await loop.sock_recv_into(end, rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return data


def _read(connection: Connection, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(connection.fileno(), size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
