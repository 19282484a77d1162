"""Fixtures of the client's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar, cast

import pytest

from pacx_client import AsyncPacxClient, PacxClient
from tests.clients.loopback import Loopback

T = TypeVar("T")


class Asker:
    """Asks the same question through the client under test, sync or async."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(
        self,
        url: str,
        question: Callable[[PacxClient], T],
        *,
        api_key: str | None = None,
        timeout_s: float = 20.0,
        retries: int = 3,
    ) -> T:
        """Open a client, ask, close it."""
        if self._kind == "sync":
            with PacxClient(url, api_key=api_key, timeout_s=timeout_s, retries=retries) as client:
                return question(client)
        return asyncio.run(self._ask_async(url, question, api_key, timeout_s, retries))

    @staticmethod
    async def _ask_async(
        url: str,
        question: Callable[[PacxClient], T],
        api_key: str | None,
        timeout_s: float,
        retries: int,
    ) -> T:
        async with AsyncPacxClient(
            url, api_key=api_key, timeout_s=timeout_s, retries=retries
        ) as client:
            # Both clients have the same methods, as test_exports shows.
            return await cast(Awaitable[T], question(cast(PacxClient, client)))


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Asker:
    """The way to ask; every test that uses it runs for both clients."""
    return Asker(request.param)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """A scripted server on loopback."""
    with Loopback() as server:
        yield server
