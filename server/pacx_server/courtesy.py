"""How work in the background gives way: one step at a time, where nobody else waits, with rests.

A step that has begun is not interrupted, so that who comes meanwhile waits for the rest of it.
How often that happens is the share of the time that such steps take: while others are about, a
step is followed by a rest of so many times its own length that the share is kept.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

from pacx_server.presence import Presence

GiveWay: TypeAlias = Callable[[], Awaitable[None]]
"""Awaited between two steps of work in the background."""

QUIET_S = 0.05
"""A caller who asks again at once is back within this time."""
ABOUT_S = 30.0
"""Who asked within this time may well ask again: the background rests between its steps."""
PATIENCE_S = 5.0
"""Under load without a pause, work in the background goes on by one step in this time."""


class Courtesy:
    """Lets requests in the background wait until no other is inside.

    Args:
        share: Of the time, that steps take while others are about; above 0, at most 1.
        quiet_s: How long nobody must have been inside.
        about_s: How long somebody is about after having been inside.
        patience_s: How long a step waits at most, once it is the next.
        observe: Told the seconds that every step has waited.
    """

    def __init__(
        self,
        *,
        share: float,
        quiet_s: float = QUIET_S,
        about_s: float = ABOUT_S,
        patience_s: float = PATIENCE_S,
        observe: Callable[[float], None] = lambda wait_s: None,  # noqa: ARG005
    ) -> None:
        self._rest_per_work = 1 / share - 1
        self._quiet_s = quiet_s
        self._about_s = about_s
        self._patience_s = patience_s
        self._observe = observe
        self._others = Presence()
        self._left_at = -math.inf
        self._began_at = -math.inf
        self._rested_at = -math.inf
        self._turn = asyncio.Lock()

    @contextmanager
    def preferred(self) -> Iterator[None]:
        """Be somebody whom the background gives way to, until the block ends."""
        try:
            with self._others.inside():
                yield
        finally:
            self._left_at = _now()

    @asynccontextmanager
    async def behind(self) -> AsyncIterator[GiveWay]:
        """Wait for a turn in the background and keep it until the block ends.

        Yields:
            What ends a step of the work and waits until the next one may begin.
        """
        async with self._turn:
            await self._begin()
            try:
                yield self._give_way
            finally:
                self._end()

    async def _give_way(self) -> None:
        self._end()
        await self._begin()

    async def _begin(self) -> None:
        ready_at = _now()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._free()
        except TimeoutError:
            pass
        finally:
            self._began_at = _now()
        self._observe(self._began_at - ready_at)

    def _end(self) -> None:
        now = _now()
        self._rested_at = now + (now - self._began_at) * self._rest_per_work

    async def _free(self) -> None:
        while self._others.count or self._due() > _now():
            await self._others.wait_empty()
            await asyncio.sleep(self._due() - _now())

    def _due(self) -> float:
        """When the next step may begin, if nobody comes before."""
        rested_at = min(self._rested_at, self._left_at + self._about_s)
        return max(rested_at, self._left_at + self._quiet_s)


def _now() -> float:
    return asyncio.get_running_loop().time()
