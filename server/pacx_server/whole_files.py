"""Files are sent whole: who asks for a part of one gets all of it (RFC 9110, section 14.2).

Starlette would answer parts, and ranges that it cannot make sense of in a form of its own.
"""

from __future__ import annotations

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

ACCEPT_RANGES = {"accept-ranges": "none"}


class WholeFile(FileResponse):
    """A file that is never sent in parts."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        self.headers.update(ACCEPT_RANGES)
        await super().__call__(without_range(scope), receive, send)


def without_range(scope: Scope) -> Scope:
    """The same request, but for the whole of what it asks for."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
    return {**scope, "headers": headers}
