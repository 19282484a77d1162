"""The queue on disk: nobody runs a job twice, nothing ends twice, nobody sees another's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pacx.errors import QueueFull, QuotaExceeded, UnknownEvaluation
from pacx_server.evaluations.job import Failure, Job, Options, Progress, Source
from pacx_server.evaluations.lock import ServerLock
from pacx_server.evaluations.store import MOST_ATTEMPTS, Bounds, Store

BOUNDS = Bounds(all=100, per_caller=90)
SOURCE = Source(manifest="manifest.csv", uploaded=True)
FAILURE = Failure(code="cohort_invalid", detail="manifest.csv, row 5: the image file is missing.")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """Two servers of one store."""
    stores = Store(tmp_path / "jobs", "first"), Store(tmp_path / "jobs", "second")
    yield stores
    for store in stores:
        store.close()


def submit(store: Store, owner: str = "anna") -> Job:
    return store.enqueue(store.receive(owner, Options(), BOUNDS), SOURCE)


def test_every_job_is_run_by_one_server(pair: tuple[Store, Store]) -> None:
    names = {submit(pair[number % 2]).id for number in range(40)}
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda number: pair[number % 2].claim(), range(60)))
    found = [job.id for job in claimed if job is not None]
    assert len(found) == 40
    assert set(found) == names


def test_the_oldest_goes_first(pair: tuple[Store, Store]) -> None:
    names = [submit(pair[0]).id for _ in range(5)]
    assert [job.id for _ in names if (job := pair[1].claim())] == names
    assert pair[1].claim() is None


def test_what_ended_stays_as_it_is(pair: tuple[Store, Store]) -> None:
    first, second = pair
    done, failed, ended = (submit(first) for _ in range(3))
    for _ in range(3):
        first.claim()
    second.cancel(ended.id, None)
    assert not first.report(ended.id, None)
    assert first.report(done.id, Progress(doing="linear", done=1, total=2))
    first.finish(done.id, None)
    first.finish(failed.id, FAILURE)
    first.finish(ended.id, None)
    second.finish(done.id, FAILURE)
    for job in (done, failed, ended):
        first.release(job.id)
        second.cancel(job.id, None)
    second.adopt({}.__contains__)
    states = {job.id: (job.state, job.failure) for job in second.all(None, 10)}
    assert states == {
        done.id: ("succeeded", None),
        failed.id: ("failed", FAILURE),
        ended.id: ("cancelled", None),
    }


def test_what_a_dead_server_left_is_taken_over(tmp_path: Path) -> None:
    locks = tmp_path / "servers"
    dead, alive = ServerLock(locks), ServerLock(locks)
    first, second = Store(tmp_path / "jobs", dead.name), Store(tmp_path / "jobs", alive.name)
    running = submit(first)
    first.claim()
    half = first.receive("anna", Options(), BOUNDS)
    second.adopt(alive.is_alive)
    assert second.claim() is None, "its server lives"
    dead.release()
    second.adopt(alive.is_alive)
    again = second.claim()
    assert again is not None
    assert (again.id, again.attempts) == (running.id, 2)
    assert second.overdue(0) == [half]
    for store in (first, second):
        store.close()
    alive.release()


def test_a_job_that_kills_its_servers_is_given_up(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs", "mine")
    job = submit(store)
    for _ in range(MOST_ATTEMPTS):
        assert store.claim() is not None
        store.adopt({}.__contains__)
    given_up = store.get(job.id, None)
    assert given_up.state == "failed"
    assert given_up.failure is not None
    assert given_up.failure.code == "interrupted"
    store.close()


def test_stopping_in_order_is_no_attempt(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs", "mine")
    job = submit(store)
    for _ in range(MOST_ATTEMPTS + 2):
        assert store.claim() is not None
        store.release(job.id)
    assert store.get(job.id, None).state == "queued"
    store.close()


def test_nobody_sees_or_touches_what_is_another_callers(pair: tuple[Store, Store]) -> None:
    hers = submit(pair[0], "anna")
    assert [job.id for job in pair[1].all("anna", 10)] == [hers.id]
    assert pair[1].all("bert", 10) == []
    for method in (pair[1].get, pair[1].cancel, pair[1].forget):
        with pytest.raises(UnknownEvaluation):
            method(hers.id, "bert")
    assert pair[1].get(hers.id, None).state == "queued"


def test_numbers_are_bounded_for_each_and_for_all(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs", "mine")
    bounds = Bounds(all=3, per_caller=2)
    names = [store.receive("anna", Options(), bounds) for _ in range(2)]
    with pytest.raises(QuotaExceeded) as quota:
        store.receive("anna", Options(), bounds)
    assert quota.value.retry_after_s
    store.receive("bert", Options(), bounds)
    with pytest.raises(QueueFull):
        store.receive("carl", Options(), bounds)
    store.remove(names[0])
    store.receive("anna", Options(), bounds)
    store.close()


def test_what_is_forgotten_is_seen_by_nobody_and_goes(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs", "mine")
    job, other = submit(store), submit(store)
    store.claim()
    store.forget(job.id, "anna")
    with pytest.raises(UnknownEvaluation):
        store.get(job.id, None)
    assert not store.report(job.id, None), "its process is to end"
    assert store.overdue(0) == [], "not before"
    store.release(job.id)
    assert store.overdue(0) == [job.id]
    store.cancel(other.id, None)
    assert set(store.overdue(2**40)) == {job.id, other.id}
    store.close()
