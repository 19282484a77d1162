"""Answers on their way out: a client that does not read holds memory for a bounded time only.

Uvicorn waits for it without an end, and closes an idle connection only after its last byte is gone.
"""

from __future__ import annotations

import asyncio

from pacx_server.receiving import LargePieces


class BoundedSending(LargePieces):
    """Connections that end where for ``send_timeout_s`` nothing of an answer could be sent.

    A client that reads slowly is served to the end, as nginx' ``send_timeout`` does.
    """

    send_timeout_s: float
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Be told of everything that the system does not take at once."""
        super().connection_made(transport)
        # Asyncio's TLS pauses at the mark, its sockets above it: at 0 TLS would stay paused for
        # good. It pauses at once where its handshake has left something to send.
        encrypted = transport.get_extra_info("sslcontext") is not None
        transport.set_write_buffer_limits(high=1 if encrypted else 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._forget()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Watch what the system has not taken."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Stop watching: all of it has been taken."""
        self._forget()
        super().resume_writing()

    def _watch(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(self.send_timeout_s, self._look_again, left)

    def _look_again(self, left_before: int) -> None:
        if self.transport.get_write_buffer_size() < left_before:
            self._watch()
        else:
            self.transport.abort()

    def _forget(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
