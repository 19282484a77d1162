"""Order and randomness are functions of the seed and the step alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacx_training.sampling import Draws, Rows, Sampler


@given(films=st.integers(1, 300), seed=st.integers(0, 2**31), epoch=st.integers(0, 50))
def test_with_equal_weights_an_epoch_is_a_permutation(films: int, seed: int, epoch: int) -> None:
    sampler = Sampler(np.full(films, 0.3), films, seed)
    assert sorted(sampler.indices(epoch)) == list(range(films))


@given(weights=st.lists(st.floats(0.01, 5), min_size=2, max_size=60), seed=st.integers(0, 2**31))
def test_films_come_in_proportion_to_their_weights(weights: list[float], seed: int) -> None:
    sampler = Sampler(np.array(weights), len(weights), seed)
    counts = np.bincount(sampler.indices(0), minlength=len(weights))
    expected = np.array(weights) * len(weights) / sum(weights)
    assert np.all(counts >= np.floor(expected - 1e-4))
    assert np.all(counts <= np.ceil(expected + 1e-4))
    assert counts.sum() == len(weights)


def test_epochs_differ_and_repeat_with_the_seed() -> None:
    sampler, same = (Sampler(np.ones(64), 16, 7) for _ in range(2))
    first, later = sampler.indices(2), sampler.indices(6)
    assert not np.array_equal(first, later)
    assert np.array_equal(same.indices(6), later)
    assert np.array_equal(same.indices(2), first)
    assert not np.array_equal(Sampler(np.ones(64), 16, 8).indices(2), first)


@given(cut=st.integers(1, 11), seed=st.integers(0, 2**31), step=st.integers(0, 10**6))
def test_draws_belong_to_rows_not_to_processes(cut: int, seed: int, step: int) -> None:
    def drawn(start: int, stop: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        draws = Draws.of_step(seed, step, Rows(start=start, stop=stop, total=12))
        return [draws.uniform(3), draws.normal(), draws.uniform()]

    parts = zip(drawn(0, 12), drawn(0, cut), drawn(cut, 12), strict=True)
    for whole, first, second in parts:
        np.testing.assert_array_equal(whole, np.concatenate([first, second]))


def test_no_step_repeats_another() -> None:
    rows = Rows(start=0, stop=4, total=4)
    numbers = [Draws.of_step(0, step, rows).uniform(2).tobytes() for step in range(50)]
    assert len(set(numbers)) == 50


@pytest.mark.parametrize(("films", "batch", "steps"), [(10, 3, 3), (3, 3, 1), (2, 3, 0)])
def test_only_whole_batches_count(films: int, batch: int, steps: int) -> None:
    assert Sampler(np.ones(films), batch, 0).steps_per_epoch == steps
