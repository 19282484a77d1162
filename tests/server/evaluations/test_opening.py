"""The store is opened once, whoever leaves while that happens."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from pacx_server.evaluations.evaluations import Evaluations
from pacx_server.evaluations.store import Store
from pacx_server.security import Authenticator, Principal
from pacx_server.settings import Settings
from pacx_server.telemetry import Telemetry

ANNA = Principal(name="anna", scopes=frozenset({"evaluate"}))


def test_a_caller_who_leaves_meanwhile_leaves_nothing_behind(tmp_path: Path) -> None:
    Store(tmp_path / "evaluations.sqlite", "another server").close()
    evaluations = Evaluations(
        Settings(evaluation_directory=tmp_path), Authenticator((), None), Telemetry()
    )

    async def story() -> None:
        asking = asyncio.ensure_future(evaluations.all(ANNA, 5))
        for _ in range(3):
            await asyncio.sleep(0)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        assert await evaluations.all(ANNA, 5) == []
        assert len(list((tmp_path / "servers").iterdir())) == 1
        await evaluations.close()
        assert not list((tmp_path / "servers").iterdir())

    asyncio.run(story())
