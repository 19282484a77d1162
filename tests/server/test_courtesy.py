"""Work in the background gives way: under virtual time, whatever comes and goes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacx_server.courtesy import Courtesy
from tests.server.virtual_time import run

SHARE, QUIET_S, ABOUT_S, PATIENCE_S = 0.25, 0.5, 6.0, 3.0
REST_PER_WORK = 1 / SHARE - 1
EPSILON_S = 1e-6
seconds = st.floats(min_value=0, max_value=4, allow_nan=False).map(lambda value: round(value, 3))
visits = st.lists(st.tuples(seconds, seconds), max_size=12)
films = st.lists(
    st.tuples(seconds, st.lists(seconds, min_size=1, max_size=3)), min_size=1, max_size=6
)
Film = tuple[float, list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of work in the background: when it could, when it did begin, and its end."""

    ready: float
    start: float
    end: float


@dataclass(kw_only=True)
class Diary:
    """Who was inside when; seconds."""

    visits: list[tuple[float, float]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)


async def play(
    visitors: list[tuple[float, float]], workers: list[Film], share: float = SHARE
) -> Diary:
    diary = Diary()
    courtesy = Courtesy(
        share=share,
        quiet_s=QUIET_S,
        about_s=ABOUT_S,
        patience_s=PATIENCE_S,
        observe=diary.waits.append,
    )
    clock = asyncio.get_running_loop().time

    async def visit(at: float, length: float) -> None:
        await asyncio.sleep(at)
        with courtesy.preferred():
            start = clock()
            await asyncio.sleep(length)
            diary.visits.append((start, clock()))

    async def work(at: float, lengths: list[float]) -> None:
        await asyncio.sleep(at)
        ready = clock()
        async with courtesy.behind() as give_way:
            ready = max([ready, *(step.end for step in diary.steps)])
            for number, length in enumerate(lengths):
                if number:
                    ready = clock()
                    await give_way()
                start = clock()
                await asyncio.sleep(length)
                diary.steps.append(Step(ready=ready, start=start, end=clock()))

    await asyncio.gather(*(visit(*v) for v in visitors), *(work(*w) for w in workers))
    return diary


@given(visits, films)
def test_one_step_at_a_time_after_quiet_and_rest_or_patience(
    visitors: list[tuple[float, float]], workers: list[Film]
) -> None:
    diary = run(play(visitors, workers))
    assert len(diary.steps) == sum(len(lengths) for _, lengths in workers), "nothing starves"
    before: Step | None = None
    for step, wait in zip(diary.steps, diary.waits, strict=True):
        assert wait == pytest.approx(step.start - step.ready, abs=EPSILON_S)
        assert wait <= PATIENCE_S + EPSILON_S
        if before is not None:
            assert step.start >= before.end - EPSILON_S, "one at a time"
        if wait < PATIENCE_S - EPSILON_S:
            assert quiet(diary, step)
            assert rested(diary, step, before)
        before = step


def quiet(diary: Diary, step: Step) -> bool:
    return not any(
        start + EPSILON_S < step.start < end + QUIET_S - EPSILON_S for start, end in diary.visits
    )


def rested(diary: Diary, step: Step, before: Step | None) -> bool:
    """Whether the share is kept, or nobody is about who could care."""
    if before is None or not any(
        end + EPSILON_S < step.start < end + ABOUT_S - EPSILON_S for _, end in diary.visits
    ):
        return True
    rest = (before.end - before.start) * REST_PER_WORK
    return step.start >= before.end + rest - EPSILON_S


@given(films)
def test_alone_nothing_waits(workers: list[Film]) -> None:
    diary = run(play([], workers))
    assert diary.waits == pytest.approx([0.0] * len(diary.steps))


def test_steps_take_their_share_of_the_time_while_somebody_is_about() -> None:
    diary = run(play([(0.0, 0.0)], [(0.0, [0.1, 0.3, 0.2])]))
    assert [step.start for step in diary.steps] == pytest.approx([0.5, 0.9, 2.1])


def test_with_all_of_the_time_steps_follow_one_another() -> None:
    diary = run(play([(0.0, 0.0)], [(0.0, [0.1, 0.3, 0.2])], share=1.0))
    assert [step.start for step in diary.steps] == pytest.approx([0.5, 0.6, 0.9])


def test_who_has_long_been_gone_is_not_waited_for() -> None:
    diary = run(play([(0.0, 0.0)], [(5.0, [0.9, 0.9])]))
    assert [step.start for step in diary.steps] == pytest.approx([5.0, ABOUT_S])
    assert run(play([(0.0, 0.0)], [(7.0, [0.9, 0.9])])).waits == pytest.approx([0.0, 0.0])


def test_who_comes_between_two_steps_goes_first() -> None:
    diary = run(play([(1.0, 3.0)], [(0.0, [2.0, 1.0])]))
    assert [step.start for step in diary.steps] == pytest.approx([0.0, 2.0 + PATIENCE_S])
    diary = run(play([(1.0, 1.5)], [(0.0, [2.0, 1.0])], share=1.0))
    assert [step.start for step in diary.steps] == pytest.approx([0.0, 2.5 + QUIET_S])


def test_the_preferred_never_wait_for_the_background() -> None:
    diary = run(play([(1.0, 1.0)], [(0.0, [3.0]), (0.0, [1.0])]))
    assert diary.visits[0] == pytest.approx((1.0, 2.0))
    assert diary.steps[1].start == pytest.approx(3.0 + PATIENCE_S)
