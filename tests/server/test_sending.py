"""Clients that do not read what they asked for are left, and those that read slowly are not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live_server import LiveServer, running
from tests.server.test_decoding import large_png

TIMEOUT_S = 1.0
LITTLE = 4096
MUCH = 2**20


@pytest.fixture(scope="module")
def server(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = {"PACX_BUNDLES": str(tiny), "PACX_SEND_TIMEOUT_S": str(TIMEOUT_S)}
    with running(tmp_path_factory.mktemp("sending"), settings) as process:
        yield process


@pytest.fixture(scope="module")
def film() -> bytes:
    """Noise, whose overlay is longer than what systems buffer for a connection."""
    return large_png(2500)


def asked(server: LiveServer, film: bytes, receive_buffer: int) -> socket.socket:
    """A connection on which an overlay as large as the film has been asked for."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", server.port))
    head = (
        "POST /explanations?method=rollout HTTP/1.1\r\nhost: x\r\naccept: image/png\r\n"
        f"content-type: image/png\r\ncontent-length: {len(film)}\r\n\r\n"
    )
    connection.sendall(head.encode() + film)
    return connection


def is_connected(server: LiveServer, connection: socket.socket) -> bool:
    port = connection.getsockname()[1]
    connections = psutil.Process(server.process.pid).net_connections("tcp")
    return any(known.raddr and known.raddr.port == port for known in connections)


def test_who_reads_nothing_is_left(server: LiveServer, film: bytes) -> None:
    with asked(server, film, LITTLE) as connection:
        assert connection.recv(12) == b"HTTP/1.1 200"
        deadline = time.monotonic() + 60
        while is_connected(server, connection):
            assert time.monotonic() < deadline, "it is still kept"
            time.sleep(0.1)


def test_who_reads_slowly_is_served_to_the_end(server: LiveServer, film: bytes) -> None:
    with asked(server, film, MUCH) as connection:
        answer = bytearray(connection.recv(65536))
        head, _, body = bytes(answer).partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length, started = int(fields[b"content-length"]), time.monotonic()
        read = len(body)
        while read < length:
            piece = connection.recv(MUCH)
            assert piece, "the server left"
            read += len(piece)
            time.sleep(TIMEOUT_S / 4 * len(piece) / MUCH)
    assert time.monotonic() - started > 2 * TIMEOUT_S
