"""The preamble of a form: what stands before its first boundary and is to be ignored (RFC 2046)."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from python_multipart.multipart import parse_options_header

LONGEST_PREAMBLE_BYTES = 64 * 1024


class Preamble:
    """Takes the bytes of a form as they come and leaves its preamble out (section 5.1.1).

    A form without a boundary where one is looked for is passed on as it is; it is the parser's to
    refuse.

    Args:
        content_type: Of the request.
    """

    def __init__(self, content_type: str) -> None:
        _, parameters = parse_options_header(content_type)
        self._delimiter = b"--" + parameters.get(b"boundary", b"")
        self._held = b""
        self._over = False

    def feed(self, chunk: bytes) -> bytes:
        """Read on; gives what belongs to the form."""
        if self._over:
            return chunk
        self._held += chunk
        start = self._first_delimiter()
        if start is None and len(self._held) < LONGEST_PREAMBLE_BYTES + len(self._delimiter) + 2:
            return b""
        return self._release(start or 0)

    def close(self) -> bytes:
        """Say that there is no more; gives what was held back."""
        return self._release(0)

    def _first_delimiter(self) -> int | None:
        if self._held.startswith(self._delimiter):
            return 0
        line = b"\r\n" + self._delimiter
        before = self._held.find(line, 0, LONGEST_PREAMBLE_BYTES + len(line))
        return before + 2 if before >= 0 else None

    def _release(self, start: int) -> bytes:
        form, self._held, self._over = self._held[start:], b"", True
        return form


async def without_preamble(
    content_type: str, body: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """Pass a form's body on from its first boundary."""
    preamble = Preamble(content_type)
    async for chunk in body:
        yield preamble.feed(chunk)
    yield preamble.close()
