"""Large messages through a pipe, without a copy for every chunk.

``Connection.recv_bytes`` asks the kernel for all that is left and so allocates it again for every
chunk that comes; for a film of 10 MB that costs more than reading it.
"""

from __future__ import annotations

import os
from multiprocessing.connection import Connection


def write_all(connection: Connection, data: bytes | memoryview) -> None:
    """Write all bytes; blocking.

    Raises:
        BrokenPipeError: The other end is closed.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(connection.fileno(), rest) :]


def read_exactly(connection: Connection, size: int) -> bytearray:
    """Read so many bytes; blocking.

    Raises:
        EOFError: The other end was closed before.
    """
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = os.readv(connection.fileno(), [rest])
        if not count:
            raise EOFError
        rest = rest[count:]
    return data
