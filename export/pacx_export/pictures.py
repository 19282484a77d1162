"""The pictures that an export is proved on: real films, phantoms and adversarial ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pacx.engines.protocol import Tensor
from pacx.errors import CohortError
from pacx.preprocessing import PreprocessingSpec
from pacx_training.cohorts.images import prepared
from pacx_training.cohorts.manifest import IMAGE_SUFFIXES
from pacx_training.cohorts.phantom import phantom_radiograph

FILMS = 64
"""How many real films an export is proved on."""
PHANTOMS = tuple(range(101, 125))
"""Seeds of the phantoms."""
CALIBRATION = 32
"""How many pictures the ranges of activations are taken from."""
CALIBRATION_PHANTOMS = tuple(range(201, 201 + CALIBRATION))


def verification_pictures(films: Path | None, spec: PreprocessingSpec) -> dict[str, Tensor]:
    """Gather pictures by kind, each float32 ``[N, S, S]`` in [0, 1].

    Args:
        films: A folder of at least ``FILMS`` radiographs, or None to do with phantoms.
        spec: The model's input.

    Raises:
        CohortError: The folder holds too few radiographs.
    """
    pictures = {"phantom": phantoms(PHANTOMS, spec), "adversarial": adversarial(spec.size)}
    return pictures if films is None else {"film": _films(films, spec), **pictures}


def calibration_pictures(films: Path | None, spec: PreprocessingSpec) -> dict[str, Tensor]:
    """Gather pictures of one kind to take ranges of activations from; nothing is proved on these.

    Args:
        films: A folder of radiographs, or None to do with phantoms.
        spec: The model's input.

    Returns:
        Under its kind, float32 ``[M, S, S]`` in [0, 1]: films, or phantoms where no folder is
        given or it holds too few beside those that an export is proved on.
    """
    found = [] if films is None else _found(films)
    others = sorted(set(found) - set(_spread(found, FILMS))) if found else []
    if len(others) < CALIBRATION:
        return {"phantom": phantoms(CALIBRATION_PHANTOMS, spec)}
    return {"film": np.stack(list(prepared(_spread(others, CALIBRATION), spec)))}


def counts(pictures: Mapping[str, Tensor]) -> dict[str, int]:
    """How many pictures there are of each kind."""
    return {kind: len(batch) for kind, batch in pictures.items()}


def phantoms(seeds: Sequence[int], spec: PreprocessingSpec) -> Tensor:
    """Draw phantom films on the model's grid, float32 ``[N, S, S]`` in [0, 1]."""
    return np.stack([phantom_radiograph(seed, spec.size).pixels for seed in seeds])


def adversarial(size: int) -> Tensor:
    """Pictures that no film looks like, float32 ``[N, S, S]``: see ``_adversarial``."""
    return np.stack(list(_adversarial(size).values())).astype(np.float32)


def _adversarial(size: int) -> Mapping[str, Tensor]:
    noise = np.random.default_rng(0).random((2, size, size), dtype=np.float32)
    ramp = np.broadcast_to(np.linspace(0, 1, size, dtype=np.float32), (size, size))
    rows, columns = np.indices((size, size))
    one_pixel = np.zeros((size, size), dtype=np.float32)
    one_pixel[size // 2, size // 2] = 1
    return {
        "black": np.zeros_like(ramp),
        "white": np.ones_like(ramp),
        "noise": noise[0],
        "salt and pepper": np.round(noise[1]),
        "step": np.round(ramp),
        "ramp": ramp,
        "checkerboard": ((rows + columns) % 2).astype(np.float32),
        "faint": np.float32(0.5) + np.float32(1e-3) * (ramp - np.float32(0.5)),
        "one pixel": one_pixel,
    }


def _films(folder: Path, spec: PreprocessingSpec) -> Tensor:
    found = _found(folder)
    if len(found) < FILMS:
        raise CohortError(f"An export is proved on {FILMS} films; the folder holds {len(found)}.")
    return np.stack(list(prepared(_spread(found, FILMS), spec)))


def _found(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    return [paths[index * len(paths) // count] for index in range(count)]
