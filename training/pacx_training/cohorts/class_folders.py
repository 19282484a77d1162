"""Data sets that are folders named by class: one class a film, classes excluding each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import IMAGE_SUFFIXES


@dataclass(frozen=True, slots=True, eq=False)
class ClassFolder:
    """Films below one folder.

    Attributes:
        paths: In the order of classes, then of names.
        labels: float32 ``[N, C]``, one 1 in each row.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.float32]


def read_class_folders(folder: Path, classes: Sequence[str]) -> ClassFolder:
    """Read every film below ``folder/<class>``.

    Args:
        folder: Holds a folder for each class and no other.
        classes: Their names, in the order of the labels.

    Raises:
        CohortError: Names the folder that is missing, empty or unknown.
    """
    if not folder.is_dir():
        raise CohortError(f"The folder {folder.name} is missing.")
    strange = {entry.name for entry in folder.iterdir() if entry.is_dir()} - set(classes)
    if strange:
        names = ", ".join(sorted(strange))
        raise CohortError(f"{folder.name} holds folders of unknown classes: {names}.")
    films = [_films(folder / name) for name in classes]
    counts = [len(found) for found in films]
    return ClassFolder(
        tuple(path for found in films for path in found),
        np.repeat(np.eye(len(classes), dtype=np.float32), counts, axis=0),
    )


def _films(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CohortError(f"The folder {folder.parent.name}/{folder.name} is missing.")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise CohortError(f"The folder {folder.parent.name}/{folder.name} holds no films.")
    return found
