"""Overlays are drawn in turn, and the films that wait for it count as bytes in work."""

from __future__ import annotations

import asyncio
import io

import httpx
import numpy as np
import pytest
from PIL import Image

from pacx.errors import DeadlineExceeded
from pacx_server.drawing import Drawing
from tests.server.conftest import Launch
from tests.server.test_problems import check
from tests.server.virtual_time import run


def test_no_more_are_drawn_at_once_than_are_meant() -> None:
    drawing, inside, most = Drawing(2), 0, 0

    async def draw() -> None:
        nonlocal inside, most
        async with drawing.turn(deadline=1000):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(1)
            inside -= 1

    async def all_draw() -> None:
        await asyncio.gather(*(draw() for _ in range(7)))

    run(all_draw())
    assert (inside, most) == (0, 2)


def test_who_waits_too_long_is_told_and_takes_nobodys_turn() -> None:
    drawing = Drawing(1)

    async def wait() -> None:
        async with drawing.turn(deadline=1000):
            with pytest.raises(DeadlineExceeded):
                async with drawing.turn(deadline=10):
                    raise AssertionError
        async with drawing.turn(deadline=1000):
            pass

    run(wait())


def test_a_film_that_waits_to_be_drawn_counts_with_its_pixels(launch: Launch) -> None:
    server = launch(queue_bytes=3_000_000)
    film = io.BytesIO()
    ramp = np.linspace(0, 255, 2000, dtype=np.uint8)
    Image.fromarray(np.broadcast_to(ramp, (2000, 2000)).copy()).save(film, "PNG")
    assert film.tell() < 100_000
    png = {"content-type": "image/png"}
    with httpx.Client(base_url=server.url, timeout=60, headers=png) as client:
        assert client.post("/explanations", content=film.getvalue()).is_success
        drawn = client.post(
            "/explanations", content=film.getvalue(), headers={"accept": "image/png"}
        )
        check(drawn, 503, "queue_full")
        assert "retry-after" in drawn.headers
        assert "pacx_inflight_bytes 0.0" in client.get("/metrics").text
