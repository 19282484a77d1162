"""Bodies on their way in: taken in pieces as large as what the system holds of them.

Asyncio asks the system for 256 KiB at a time, and every piece costs a turn of the event loop and
of the application that waits for it: of a film of two megabytes nine turns.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

USUAL_PIECE_BYTES = 256 * 1024
LARGEST_PIECE_BYTES = 2 * 2**20


class LargePieces(HttpToolsProtocol):
    """Connections that ask for the rest of a declared body at once, and for little behind it.

    Of what is no body a piece holds as little as ever: what a client puts behind one request it
    cannot make the parser read in one turn.
    """

    _left_bytes = 0

    def on_headers_complete(self) -> None:
        """Note how long the body will be."""
        super().on_headers_complete()
        self._left_bytes = int(dict(self.headers).get(b"content-length", 0))

    def on_body(self, body: bytes) -> None:
        """Note what has come of it."""
        super().on_body(body)
        self._left_bytes = max(self._left_bytes - len(body), 0)  # of an undeclared one 0 is left

    def data_received(self, data: bytes) -> None:
        """Take a piece, and say how large the next one may be."""
        super().data_received(data)
        _limit(self.transport, min(self._left_bytes + USUAL_PIECE_BYTES, LARGEST_PIECE_BYTES))


def _limit(transport: asyncio.Transport, piece_bytes: int) -> None:
    if hasattr(transport, "max_size"):  # asyncio's own, on a socket
        transport.max_size = piece_bytes
