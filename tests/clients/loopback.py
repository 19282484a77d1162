"""A tiny HTTP server on loopback that gives scripted answers and keeps what it was sent."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server does with one request.

    Attributes:
        status: HTTP status.
        body: Bytes of the body.
        headers: Headers beside ``Content-Length``.
        silence_s: Seconds before anything is answered.
        drop: Close the connection without an answer.
        before_body: Answer when the header is there, and read the body afterwards.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    silence_s: float = 0.0
    drop: bool = False
    before_body: bool = False

    @classmethod
    def of_json(cls, value: object, *, status: int = 200, **headers: str) -> Self:
        """An answer that holds JSON."""
        kind = "application/json" if status < 400 else "application/problem+json"
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(
            status=status, body=json.dumps(value).encode(), headers={"Content-Type": kind} | named
        )


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request as it came.

    Attributes:
        at_s: Monotonic time of arrival in seconds.
        method: HTTP method.
        target: Path and query.
        headers: By lower-case name.
        body: All of it.
    """

    at_s: float
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Loopback:
    """Answers requests in the order of ``answers``; the last one is repeated."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.received: list[Received] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_answer(self) -> Answer:
        """What to answer now."""
        with self._lock:
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Server(ThreadingHTTPServer):
    """Knows where the answers are."""

    def __init__(self, loopback: Loopback) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.loopback = loopback


class _Exchange(BaseHTTPRequestHandler):
    """One connection."""

    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answer = self.server.loopback.next_answer()
        if answer.before_body:
            self._send(answer)
        length = int(self.headers.get("Content-Length", 0))
        self.server.loopback.received.append(
            Received(
                at_s=time.monotonic(),
                method=self.command,
                target=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
        )
        if not answer.before_body:
            self._send(answer)

    def do_POST(self) -> None:
        self.do_GET()

    def _send(self, answer: Answer) -> None:
        time.sleep(answer.silence_s)
        self.close_connection = answer.drop
        if answer.drop:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        # A client that lost patience is gone by now.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""
