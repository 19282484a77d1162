"""Back-pressure at the door: bounds, fair shares, quotas; and the fair queue behind it."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacx.errors import NotReady, QueueFull, QuotaExceeded
from pacx_server.admission import Admission
from pacx_server.queueing import FairQueue
from pacx_server.security import Principal


def caller(name: str = "a", images_per_minute: int | None = None) -> Principal:
    return Principal(name=name, scopes=frozenset({"predict"}), images_per_minute=images_per_minute)


def door(count: int = 4, size_bytes: int = 100, *, shared: bool = False) -> Admission:
    return Admission(count=count, size_bytes=size_bytes, shared=shared, clock=lambda: 0.0)


@given(
    sizes=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 3)), max_size=12),
    shared=st.booleans(),
)
def test_no_bound_is_ever_exceeded_and_all_places_come_back(
    sizes: list[tuple[int, int]], shared: bool
) -> None:
    admission = door(shared=shared)
    with ExitStack() as stack:
        for size_bytes, images in sizes:
            with suppress(QueueFull):
                ticket = stack.enter_context(admission.admit(caller(), size_bytes=size_bytes))
                ticket.hold(images=images - 1)
            assert admission.images <= 4
            assert admission.bytes_held <= 100
    assert (admission.images, admission.bytes_held, admission.presence.count) == (0, 0, 0)


def test_single_and_multi_image_requests_are_under_one_rule() -> None:
    admission = door(count=4)
    with admission.admit(caller(), size_bytes=0) as ticket:
        ticket.hold(images=3)
        with pytest.raises(QueueFull, match="4 images"), admission.admit(caller(), size_bytes=0):
            pass
        with pytest.raises(QueueFull):
            ticket.hold(images=1)


def test_a_flood_leaves_room_for_others() -> None:
    admission = door(count=30, shared=True)
    with ExitStack() as stack:
        with suppress(QueueFull):
            for _ in range(30):
                stack.enter_context(admission.admit(caller("flood"), size_bytes=0))
        held = admission.images
        stack.enter_context(admission.admit(caller("other"), size_bytes=0))
    assert 15 <= held <= 21


def test_a_quota_refills_with_time() -> None:
    now = 0.0
    admission = Admission(count=9, size_bytes=9, shared=True, clock=lambda: now)
    with admission.admit(caller(images_per_minute=2), size_bytes=0) as ticket:
        ticket.hold(images=1)
    with (
        pytest.raises(QuotaExceeded) as refusal,
        admission.admit(caller(images_per_minute=2), size_bytes=0),
    ):
        pass
    assert refusal.value.retry_after_s == 31
    now = 31.0
    with admission.admit(caller(images_per_minute=2), size_bytes=0):
        pass


def test_a_closed_door_says_why() -> None:
    admission = door()
    admission.refusal = NotReady("The server is shutting down.", retry_after_s=5)
    with pytest.raises(NotReady, match="shutting down"), admission.admit(caller(), size_bytes=0):
        pass


@dataclass(frozen=True, eq=False)
class Letter:
    """Something that queues."""

    key: str
    number: int
    size_bytes: int = 1


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40))
def test_keys_take_turns_and_keep_their_own_order(keys: list[str]) -> None:
    queue: FairQueue[Letter] = FairQueue()
    for number, key in enumerate(keys):
        queue.push(Letter(key, number))
    popped = [queue.pop() for _ in keys]
    assert len(queue) == queue.size_bytes == 0
    for key in set(keys):
        numbers = [letter.number for letter in popped if letter.key == key]
        assert numbers == sorted(numbers)
    counts = Counter(keys)
    for end in range(1, len(popped)):
        served = Counter(letter.key for letter in popped[:end])
        waiting = [key for key in counts if served[key] < counts[key]]
        for key in waiting:
            assert all(served[other] - served[key] <= 1 for other in counts)


def test_taking_out_is_by_identity_and_twice_is_nothing() -> None:
    queue: FairQueue[Letter] = FairQueue()
    first, second = Letter("a", 1), Letter("a", 1)
    queue.push(first)
    queue.push(second)
    queue.discard(first)
    queue.discard(first)
    assert queue.pop() is second
    with pytest.raises(IndexError):
        queue.pop()
