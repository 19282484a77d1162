"""How work in the background gives way: one film at a time, and only where nobody else waits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from pacx_server.presence import Presence

QUIET_S = 0.05
"""A caller who asks again at once is back within this time."""
PATIENCE_S = 5.0
"""Under load without a pause, work in the background goes on by one film in this time."""


class Courtesy:
    """Lets requests in the background wait until no other is inside.

    Args:
        quiet_s: How long nobody must have been inside.
        patience_s: How long a film waits at most, once it is the next.
    """

    def __init__(self, *, quiet_s: float = QUIET_S, patience_s: float = PATIENCE_S) -> None:
        self._quiet_s = quiet_s
        self._patience_s = patience_s
        self._others = Presence()
        self._quiet_from = -math.inf
        self._turn = asyncio.Lock()

    @contextmanager
    def preferred(self) -> Iterator[None]:
        """Be somebody whom the background gives way to, until the block ends."""
        try:
            with self._others.inside():
                yield
        finally:
            self._quiet_from = asyncio.get_running_loop().time() + self._quiet_s

    @asynccontextmanager
    async def behind(self) -> AsyncIterator[None]:
        """Wait for a turn in the background and keep it until the block ends."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._quiet()
            except TimeoutError:
                pass
            yield

    async def _quiet(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._others.count or self._quiet_from > clock():
            await self._others.wait_empty()
            await asyncio.sleep(self._quiet_from - clock())
