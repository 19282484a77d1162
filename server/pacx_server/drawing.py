"""How many overlays are drawn at once: each takes memory in proportion to its film's pixels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pacx.errors import DeadlineExceeded

AT_ONCE = 2
"""Some ten bytes for every pixel of the film are in use meanwhile."""


class Drawing:
    """Lets overlays be drawn in turn.

    Args:
        at_once: How many at a time.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self, deadline: float) -> AsyncIterator[None]:
        """Wait for a turn and keep it until the block ends.

        Args:
            deadline: On the event loop's clock.

        Raises:
            DeadlineExceeded: There was no turn in time.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self._places.acquire()
        except TimeoutError as error:
            raise DeadlineExceeded("The picture was not drawn before the deadline.") from error
        try:
            yield
        finally:
            self._places.release()
