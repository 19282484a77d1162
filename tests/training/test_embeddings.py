"""Embeddings of films: cached by what films hold, and a film that cannot be read is named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pacx.errors import CohortError
from pacx_training.cohorts.phantom import phantom_radiograph
from pacx_training.embeddings import embeddings_of
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.runs import RunDirectory


@pytest.fixture
def run(tiny: EncoderConfig, tmp_path: Path) -> RunDirectory:
    """The run of an untrained encoder."""
    torch.manual_seed(0)
    run = RunDirectory(tmp_path / "run")
    run.save_encoder(VisionTransformer(tiny))
    return run


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"film-{seed}.png" for seed in range(3)]
    for seed, path in enumerate(paths):
        draw(path, seed)
    return paths


def draw(path: Path, seed: int) -> None:
    pixels = phantom_radiograph(seed, size=48).pixels
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(path)


def test_a_film_that_changed_is_embedded_again(
    run: RunDirectory, films: list[Path], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    before = embeddings_of(run, films, cache)
    draw(films[1], 9)
    after = embeddings_of(run, films, cache)
    np.testing.assert_array_equal(after, embeddings_of(run, films))
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert not np.allclose(after[1], before[1])


def test_films_that_were_moved_are_not(
    run: RunDirectory, films: list[Path], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    before = embeddings_of(run, films, cache)
    (made,) = cache.glob("*.npy")
    stamp = made.stat().st_mtime_ns
    moved = [path.rename(path.with_stem(f"moved-{path.stem}")) for path in films]
    np.testing.assert_array_equal(embeddings_of(run, moved, cache), before)
    assert [path.stat().st_mtime_ns for path in cache.glob("*.npy")] == [stamp]


def test_another_encoder_or_order_is_another_answer(
    run: RunDirectory, films: list[Path], tmp_path: Path, tiny: EncoderConfig
) -> None:
    cache = tmp_path / "cache"
    before = embeddings_of(run, films, cache)
    np.testing.assert_allclose(embeddings_of(run, films[::-1], cache), before[::-1], atol=1e-5)
    run.save_encoder(VisionTransformer(tiny))
    assert not np.allclose(embeddings_of(run, films, cache), before)


def test_a_film_that_cannot_be_read_is_named_and_why_is_said(
    run: RunDirectory, films: list[Path]
) -> None:
    films[2].write_bytes(films[2].read_bytes()[:60])
    with pytest.raises(CohortError, match=rf"{re.escape(str(films[2]))} cannot be read: The "):
        embeddings_of(run, films)
