"""The batcher under virtual time: whatever arrives, fails or leaves, its laws hold."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacx.errors import DeadlineExceeded, EngineError, NotReady, PacxError, QueueFull
from pacx_server.batching import LANES, Answered, Batcher, BatchLimits
from tests.server.virtual_time import run


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One request of a story; times in seconds."""

    number: int
    at: float
    key: str
    size_bytes: int
    patience: float
    leaves_after: float | None
    poison: bool


@dataclass(kw_only=True)
class Engine:
    """Takes its time, fails on poison, and remembers what it was asked."""

    durations: list[float]
    batches: list[tuple[float, list[Arrival]]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    async def run(self, batch: Sequence[Arrival]) -> list[int]:
        """Answer each arrival with its number."""
        self.batches.append((asyncio.get_running_loop().time(), list(batch)))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.durations[len(self.batches) % len(self.durations)])
        finally:
            self.running -= 1
        if any(item.poison for item in batch):
            raise EngineError("poison")
        return [item.number for item in batch]


LIMITS = BatchLimits(max_batch=4, count=10, size_bytes=50)

seconds = st.floats(min_value=0, max_value=2, allow_nan=False).map(lambda value: round(value, 3))
arrivals = st.lists(
    st.tuples(
        seconds,
        st.sampled_from("abc"),
        st.integers(min_value=0, max_value=20),
        st.one_of(st.just(math.inf), seconds),
        st.one_of(st.none(), seconds),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=30,
)


def story_of(rows: list[tuple[float, str, int, float, float | None, bool]]) -> list[Arrival]:
    return [
        Arrival(
            number=number,
            at=at,
            key=key,
            size_bytes=size_bytes,
            patience=patience,
            leaves_after=leaves_after,
            poison=poison,
        )
        for number, (at, key, size_bytes, patience, leaves_after, poison) in enumerate(rows)
    ]


Outcome = Answered[int] | PacxError | str


async def visit(batcher: Batcher[Arrival, int], arrival: Arrival) -> tuple[float, Outcome]:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(arrival.at - loop.time())
    question = loop.create_task(
        batcher.submit(
            arrival,
            key=arrival.key,
            size_bytes=arrival.size_bytes,
            deadline=arrival.at + arrival.patience,
        )
    )
    if arrival.leaves_after is not None:
        loop.call_later(arrival.leaves_after, question.cancel)
    try:
        return loop.time(), await question
    except PacxError as error:
        return loop.time(), error
    except asyncio.CancelledError:
        return loop.time(), "left"


async def play(
    story: list[Arrival], durations: list[float], limits: BatchLimits = LIMITS
) -> tuple[Engine, list[tuple[float, Outcome]]]:
    engine = Engine(durations=durations)
    batcher = Batcher(engine.run, limits)
    batcher.start()
    outcomes = await asyncio.gather(*(visit(batcher, arrival) for arrival in story))
    await batcher.drain()
    assert batcher.depth == batcher.size_bytes == 0
    return engine, list(outcomes)


@given(rows=arrivals, durations=st.lists(seconds, min_size=1, max_size=5), wait_s=seconds)
def test_laws(
    rows: list[tuple[float, str, int, float, float | None, bool]],
    durations: list[float],
    wait_s: float,
) -> None:
    story = story_of(rows)
    limits = BatchLimits(max_batch=4, max_wait_s=wait_s / 4, count=10, size_bytes=50)
    engine, outcomes = run(play(story, durations, limits))
    assert len(outcomes) == len(story)
    for arrival, (_, outcome) in zip(story, outcomes, strict=True):
        check_outcome(arrival, outcome)
    check_batches(engine)


def check_outcome(arrival: Arrival, outcome: Outcome) -> None:
    """The answer belongs to the question, and every other end has its reason."""
    if isinstance(outcome, Answered):
        assert outcome.answer == arrival.number
        assert not arrival.poison
        assert outcome.queue_s + outcome.inference_s <= arrival.patience + 1e-9
    elif isinstance(outcome, DeadlineExceeded):
        assert arrival.patience < math.inf
    elif isinstance(outcome, EngineError):
        assert arrival.poison
    elif isinstance(outcome, PacxError):
        assert isinstance(outcome, QueueFull)
    else:
        assert arrival.leaves_after is not None


def check_batches(engine: Engine) -> None:
    assert engine.most_running <= LANES
    runs = Counter(item.number for _, batch in engine.batches for item in batch)
    assert all(count <= 2 for count in runs.values())
    first: dict[str, list[int]] = {}
    seen: set[int] = set()
    for started, batch in engine.batches:
        assert 1 <= len(batch) <= LIMITS.max_batch
        for item in batch:
            lone_retry = item.number in seen
            assert lone_retry or started < item.at + item.patience + 1e-9
            if not lone_retry:
                first.setdefault(item.key, []).append(item.number)
            seen.add(item.number)
    by_number = {item.number: item for _, batch in engine.batches for item in batch}
    for numbers in first.values():
        times = [by_number[number].at for number in numbers]
        assert times == sorted(times)


def simple(number: int, *, key: str = "a", at: float = 0.0, patience: float = math.inf) -> Arrival:
    return Arrival(
        number=number,
        at=at,
        key=key,
        size_bytes=0,
        patience=patience,
        leaves_after=None,
        poison=False,
    )


def test_what_is_queued_when_the_engine_frees_up_runs_together() -> None:
    story = [simple(0), *(simple(number, at=0.5) for number in range(1, 4))]
    engine, _ = run(play(story, [1.0]))
    assert [len(batch) for _, batch in engine.batches] == [1, 3]
    assert engine.batches[1][0] == pytest.approx(1.0)


def test_a_full_batch_is_prepared_while_another_runs() -> None:
    story = [simple(0), *(simple(number, at=0.5) for number in range(1, 5))]
    engine, outcomes = run(play(story, [1.0]))
    assert [started for started, _ in engine.batches] == pytest.approx([0.0, 0.5])
    answered = outcomes[1][1]
    assert isinstance(answered, Answered)
    assert answered.queue_s == pytest.approx(0.5)  # it waited for the engine all the same


def test_an_idle_engine_waits_for_mates_only_if_told_to() -> None:
    story = [simple(0), simple(1, at=0.2)]
    waiting = BatchLimits(max_batch=4, max_wait_s=0.3, count=10, size_bytes=50)
    assert len(run(play(story, [1.0]))[0].batches) == 2
    engine, _ = run(play(story, [1.0], waiting))
    assert [(started, len(batch)) for started, batch in engine.batches] == [(0.3, 2)]


def test_nobody_starves_beside_a_flood() -> None:
    """Two batches are taken when the other one comes; it is among the next."""
    flood = [simple(number, key="flood") for number in range(20)]
    roomy = BatchLimits(max_batch=4, count=30, size_bytes=50)
    engine, _ = run(play([*flood, simple(99, key="other", at=0.1)], [1.0], roomy))
    place = [item.number for _, batch in engine.batches for item in batch].index(99)
    assert place < 4 * (LANES + 1)


def test_poison_costs_only_itself() -> None:
    poison = Arrival(
        number=9, at=0, key="a", size_bytes=0, patience=math.inf, leaves_after=None, poison=True
    )
    _, outcomes = run(play([simple(0), poison, simple(1)], [1.0]))
    assert [type(outcome).__name__ for _, outcome in outcomes] == [
        "Answered",
        "EngineError",
        "Answered",
    ]


def test_a_foreign_exception_is_an_engine_failure_without_its_words() -> None:
    async def story() -> None:
        async def fail(batch: Sequence[int]) -> list[int]:
            raise ValueError("secret")

        batcher: Batcher[int, int] = Batcher(fail, LIMITS)
        batcher.start()
        with pytest.raises(EngineError) as caught:
            await batcher.submit(1)
        assert "secret" not in caught.value.detail
        await batcher.drain()

    run(story())


def test_a_wrong_number_of_answers_is_an_engine_failure() -> None:
    async def story() -> None:
        async def forget(batch: Sequence[int]) -> list[int]:
            return []

        batcher: Batcher[int, int] = Batcher(forget, LIMITS)
        batcher.start()
        with pytest.raises(EngineError):
            await batcher.submit(1)
        await batcher.drain()

    run(story())


def test_bounds_are_named_when_they_are_reached() -> None:
    async def story() -> None:
        engine = Engine(durations=[1.0])
        batcher = Batcher(engine.run, BatchLimits(max_batch=1, count=2, size_bytes=10))
        batcher.start()
        waiting = [asyncio.ensure_future(batcher.submit(simple(n), size_bytes=5)) for n in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull) as full:
            await batcher.submit(simple(3))
        assert "2 images" in full.value.detail
        assert full.value.retry_after_s == 1
        await asyncio.sleep(0.5)
        waiting.append(asyncio.ensure_future(batcher.submit(simple(4), size_bytes=5)))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull) as heavy:
            await batcher.submit(simple(5), size_bytes=6)
        assert "10 bytes" in heavy.value.detail
        await asyncio.gather(*waiting)
        await batcher.drain()

    run(story())


def test_a_crash_answers_those_who_wait_and_is_recovered_from() -> None:
    async def story() -> None:
        engine = Engine(durations=[5.0])
        batcher = Batcher(engine.run, LIMITS)
        batcher.start()
        running = asyncio.ensure_future(batcher.submit(simple(0)))
        await asyncio.sleep(1)
        waiting = asyncio.ensure_future(batcher.submit(simple(1)))
        await asyncio.sleep(0)
        (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "batcher")
        task.cancel()
        with pytest.raises(NotReady):
            await waiting
        with pytest.raises(NotReady):
            await batcher.submit(simple(2))
        await asyncio.sleep(1)
        assert batcher.crashes == 1
        assert (await batcher.submit(simple(3))).answer == 3
        assert (await running).answer == 0
        await batcher.drain()

    run(story())


def test_draining_finishes_what_was_taken_and_takes_nothing_new() -> None:
    async def story() -> None:
        engine = Engine(durations=[1.0])
        batcher = Batcher(engine.run, LIMITS)
        batcher.start()
        taken = [asyncio.ensure_future(batcher.submit(simple(number))) for number in range(9)]
        await asyncio.sleep(0.1)
        draining = asyncio.ensure_future(batcher.drain())
        await asyncio.sleep(0)
        with pytest.raises(NotReady):
            await batcher.submit(simple(99))
        await draining
        assert [(await answered).answer for answered in taken] == list(range(9))

    run(story())
