"""Novelty keeps its false-alarm rate and finds what is unlike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pacx.errors import CheckpointError
from pacx.novelty import Novelty
from pacx_training.novelty import fit_novelty, load_novelty, save_novelty
from pacx_training.runs import RunDirectory


def embeddings(count: int, seed: int) -> NDArray[np.float32]:
    """Correlated embeddings of width 16."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(0, 1, (16, 16))
    return (random.normal(0, 1, (count, 16)) @ mixing + 3).astype(np.float32)


def patients(count: int) -> NDArray[np.str_]:
    return (np.arange(count) // 2).astype(np.str_)


def test_unseen_films_of_the_same_kind_raise_alarms_at_the_stated_rate() -> None:
    fitted = fit_novelty(embeddings(2000, 0), patients(2000), rate=0.05)
    novelty = Novelty(mean=fitted.mean, whitening=fitted.whitening, threshold=fitted.spec.threshold)
    scores = np.array([novelty.score(row) for row in embeddings(2000, 1)])
    assert (scores > 1).mean() == pytest.approx(0.05, abs=0.015)


def test_what_is_unlike_is_found_even_if_it_is_not_far_in_any_one_direction() -> None:
    fitted = fit_novelty(embeddings(500, 0), patients(500))
    novelty = Novelty(mean=fitted.mean, whitening=fitted.whitening, threshold=fitted.spec.threshold)
    # Every coordinate alone is as spread as in the films, but their correlations are gone.
    shuffled = embeddings(400, 2)
    for column in shuffled.T:
        np.random.default_rng(int(abs(column[0]) * 1e6)).shuffle(column)
    assert np.mean([novelty.score(row) > 1 for row in shuffled]) > 0.5


def test_a_run_keeps_it(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert load_novelty(run) is None
    fitted = fit_novelty(embeddings(100, 0), patients(100))
    save_novelty(run, fitted)
    loaded = load_novelty(run)
    assert loaded is not None
    assert loaded.spec == fitted.spec
    np.testing.assert_array_equal(loaded.whitening, fitted.whitening)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "novelty.json").write_text("{}")
    with pytest.raises(CheckpointError):
        load_novelty(RunDirectory(tmp_path))
