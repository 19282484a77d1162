"""Work in the background gives way: under virtual time, whatever comes and goes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacx_server.courtesy import Courtesy
from tests.server.virtual_time import run

QUIET_S, PATIENCE_S = 0.5, 3.0
EPSILON_S = 1e-6
seconds = st.floats(min_value=0, max_value=4, allow_nan=False).map(lambda value: round(value, 3))
visits = st.lists(st.tuples(seconds, seconds), max_size=12)
films = st.lists(st.tuples(seconds, seconds), min_size=1, max_size=6)


@dataclass(kw_only=True)
class Diary:
    """Who was inside when; seconds."""

    visits: list[tuple[float, float]] = field(default_factory=list)
    films: list[tuple[float, float]] = field(default_factory=list)


async def play(visitors: list[tuple[float, float]], workers: list[tuple[float, float]]) -> Diary:
    courtesy, diary = Courtesy(quiet_s=QUIET_S, patience_s=PATIENCE_S), Diary()
    clock = asyncio.get_running_loop().time

    async def visit(at: float, length: float) -> None:
        await asyncio.sleep(at)
        with courtesy.preferred():
            start = clock()
            await asyncio.sleep(length)
            diary.visits.append((start, clock()))

    async def work(at: float, length: float) -> None:
        await asyncio.sleep(at)
        async with courtesy.behind():
            start = clock()
            await asyncio.sleep(length)
            diary.films.append((start, clock()))

    await asyncio.gather(*(visit(*v) for v in visitors), *(work(*w) for w in workers))
    return diary


@given(visits, films)
def test_one_at_a_time_after_quiet_or_patience(
    visitors: list[tuple[float, float]], workers: list[tuple[float, float]]
) -> None:
    diary = run(play(visitors, workers))
    assert len(diary.films) == len(workers), "nothing starves"
    arrivals = sorted(at for at, _ in workers)
    free = 0.0
    for (start, end), arrival in zip(sorted(diary.films), arrivals, strict=True):
        assert start >= free - EPSILON_S, "one at a time"
        recent = [v for v in diary.visits if v[0] + EPSILON_S < start < v[1] + QUIET_S - EPSILON_S]
        waited = start - max(free, arrival)
        assert not recent or waited >= PATIENCE_S - EPSILON_S
        free = end


@given(films)
def test_alone_nothing_waits(workers: list[tuple[float, float]]) -> None:
    diary = run(play([], workers))
    free = 0.0
    for (start, end), at in zip(sorted(diary.films), sorted(at for at, _ in workers), strict=True):
        assert start == pytest.approx(max(free, at))
        free = end


def test_the_preferred_never_wait_for_the_background() -> None:
    diary = run(play([(1.0, 1.0)], [(0.0, 3.0), (0.0, 1.0)]))
    assert diary.visits[0] == pytest.approx((1.0, 2.0))
    assert sorted(diary.films)[1][0] == pytest.approx(3.0)
