"""Small cohorts of drawn films, a tiny encoder, and what evaluates them in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pacx_evaluation.subjects import EmbeddingCache
from pacx_training.runs import RunDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFilms:
    """A folder with films and a table about them.

    Attributes:
        folder: Holds ``manifest.csv`` and the films.
        table: What the manifest says.
    """

    folder: Path
    table: pd.DataFrame

    @property
    def manifest(self) -> Path:
        """The table's path."""
        return self.folder / "manifest.csv"

    def write(self, table: pd.DataFrame) -> Path:
        """Write another table beside the same films."""
        path = self.folder / "other.csv"
        table.to_csv(path, index=False)
        return path


def draw(random: np.random.Generator, present: bool, size: int = 48) -> NDArray[np.uint8]:
    """Noise, with a square on the left that is usually brighter where the finding is present."""
    picture = random.integers(60, 160, (size, size))
    picture[14:34, 6:20] += round(float(random.normal(16 if present else 0, 12)))
    return np.clip(picture, 0, 255).astype(np.uint8)


def make_films(folder: Path, patients: int = 60, seed: int = 0) -> DrawnFilms:
    """One to three films of each patient, 15 patients of 60 with the finding ``opacity``."""
    random = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        present = patient % 4 == 0
        split = ("train", "train", "train", "val", "test", "test")[patient // 4 % 6]
        for film in range(int(random.integers(1, 4)) + 2 * present):
            name = f"{patient:03d}-{film}.png"
            Image.fromarray(draw(random, present)).save(folder / name)
            rows.append(
                {
                    "path": name,
                    "patient": f"patient {patient}",
                    "split": split,
                    "sex": "MF"[patient // 2 % 2],
                    "age": 10 + patient,
                    "opacity": int(present),
                    "rare": int(patient == 0),
                    "volume": present * 2.0 + float(random.normal(scale=0.3)),
                }
            )
    table = pd.DataFrame(rows)
    table.to_csv(folder / "manifest.csv", index=False)
    return DrawnFilms(folder=folder, table=table)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models as small as these are only slowed down by threads that wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> DrawnFilms:
    """A cohort that the tests only read."""
    return make_films(tmp_path_factory.mktemp("films"))


@pytest.fixture
def own_films(tmp_path: Path) -> Callable[[], DrawnFilms]:
    """Makes a cohort that a test may damage."""
    folder = tmp_path / "own"
    folder.mkdir()
    return lambda: make_films(folder, patients=12)


@pytest.fixture(scope="session")
def run_folder(tiny_run: RunDirectory) -> Path:
    """Where the tiny run lies."""
    return tiny_run.path


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    """An empty cache."""
    return EmbeddingCache(tmp_path / "embeddings.sqlite")
