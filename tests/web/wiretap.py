"""A relay in front of a server that keeps every byte which clients send."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK = 65536


class Wiretap(socketserver.ThreadingTCPServer):
    """Relays TCP connections and listens.

    Attributes:
        url: Where to connect instead of the server's own address.
        heard: What clients have sent so far, each connection by itself.
    """

    daemon_threads = True

    def __init__(self, server_url: str) -> None:
        """Relay to ``server_url``."""
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = ("127.0.0.1", urlsplit(server_url).port)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.heard: list[bytearray] = []

    @property
    def sent(self) -> bytes:
        """All that clients have sent so far."""
        return b"".join(self.heard)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self.server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: Wiretap
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(self.server.upstream) as upstream:
            threading.Thread(target=self._answer, args=(upstream,), daemon=True).start()
            self._ask(upstream)

    def _ask(self, upstream: socket.socket) -> None:
        heard = bytearray()
        self.server.heard.append(heard)
        with contextlib.suppress(OSError):
            while chunk := self.request.recv(CHUNK):
                heard += chunk
                upstream.sendall(chunk)

    def _answer(self, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := upstream.recv(CHUNK):
                self.request.sendall(chunk)
            self.request.shutdown(socket.SHUT_WR)
