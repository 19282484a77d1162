"""The cache of films: as the server prepares them, found by content, safe against interruption."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pacx.errors import CohortError
from pacx.preprocessing import PreprocessingSpec, prepare
from pacx.reading import read
from pacx_training.cohorts.cache import FilmCache
from pacx_training.cohorts.phantom import phantom_radiograph

SPEC = PreprocessingSpec(size=48)


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    """Six phantoms as PNG, of different shapes."""
    paths = []
    for seed in range(6):
        pixels = phantom_radiograph(seed, size=(64 + seed, 60)).pixels
        paths.append(tmp_path / f"film-{seed}.png")
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(paths[-1])
    return paths


def _expected(paths: Sequence[Path]) -> NDArray[np.uint8]:
    pictures = [prepare(read(path), SPEC).pixels for path in paths]
    return np.rint(np.stack(pictures) * 255).astype(np.uint8)


def _everything(cache: FilmCache, paths: Sequence[Path]) -> NDArray[np.uint8]:
    return cache.films(paths)[np.arange(len(paths))]


def test_films_are_prepared_as_for_the_model(films: list[Path], tmp_path: Path) -> None:
    cache = FilmCache(tmp_path / "cache", SPEC)
    np.testing.assert_array_equal(_everything(cache, films), _expected(films))
    order = [films[4], films[0], films[4]]
    np.testing.assert_array_equal(_everything(cache, order), _expected(order))


def test_a_film_is_known_by_its_content(films: list[Path], tmp_path: Path) -> None:
    cache = FilmCache(tmp_path / "cache", SPEC)
    assert len(cache.films(films).pixels) == 6
    moved = films[2].rename(tmp_path / "elsewhere.png")
    assert len(cache.films([*films[:2], moved]).pixels) == 6
    films[0].write_bytes(films[1].read_bytes())
    np.testing.assert_array_equal(_everything(cache, films[:2]), _expected(films[:2]))
    assert len(cache.films(films[:2]).pixels) == 6


def test_sizes_are_kept_apart(films: list[Path], tmp_path: Path) -> None:
    small, large = (FilmCache(tmp_path, PreprocessingSpec(size=size)) for size in (32, 40))
    assert _everything(small, films).shape == (6, 32, 32)
    assert _everything(large, films).shape == (6, 40, 40)
    assert _everything(small, films).shape == (6, 32, 32)


@pytest.mark.parametrize("ending", ["pixels", "index"])
def test_an_interrupted_build_goes_on(ending: str, films: list[Path], tmp_path: Path) -> None:
    cache = FilmCache(tmp_path / "cache", SPEC)
    cache.films(films[:5])
    (path,) = cache.folder.glob(f"*.{ending}")
    path.write_bytes(path.read_bytes()[:-7])
    np.testing.assert_array_equal(_everything(cache, films), _expected(films))
    assert len(cache.films(films).pixels) == 6


def test_two_builders_do_not_disturb_each_other(films: list[Path], tmp_path: Path) -> None:
    cache = FilmCache(tmp_path / "cache", SPEC)
    threads = [threading.Thread(target=cache.films, args=(films,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(_everything(cache, films), _expected(films))
    assert len(cache.films(films).pixels) == 6


def test_a_film_that_cannot_be_read_is_named_and_why_is_said(
    films: list[Path], tmp_path: Path
) -> None:
    films[3].write_text("no film")
    named = rf"{re.escape(str(films[3]))} cannot be read"
    with pytest.raises(CohortError, match=f"{named}: Only DICOM"):
        FilmCache(tmp_path / "cache", SPEC).films(films)
    films[3].unlink()
    with pytest.raises(CohortError, match=f"{named}: No such"):
        FilmCache(tmp_path / "cache", SPEC).films(films)
