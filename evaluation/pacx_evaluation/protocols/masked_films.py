"""Films with masks, from wherever an evaluation has them, and which of them are fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.model_selection import GroupKFold

from pacx.errors import BenchmarkError
from pacx.masks import STRUCTURES
from pacx.preprocessing import PreprocessingSpec, prepare
from pacx_evaluation.benchmarks import Benchmark
from pacx_evaluation.protocols.design import FOLDS, Rows
from pacx_evaluation.protocols.requirements import check_masks
from pacx_evaluation.protocols.study import Study
from pacx_evaluation.subjects.encoder import as_radiograph
from pacx_training.cohorts.outlines import OutlinedFilm

FITTED_FILMS = 2000
"""At most; tokens of so many films fit into memory, and more change little."""

Picture = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskedFilms:
    """M films with masks of C structures.

    Attributes:
        structures: Their names.
        patients: str ``[M]``.
        splits: str ``[M]``.
        read: Place of a film, and how an encoder wants it -> pixels ``[S, S]`` in [0, 1] and
            shares of a pixel ``[C, S, S]``.
    """

    structures: tuple[str, ...]
    patients: NDArray[np.str_]
    splits: NDArray[np.str_]
    read: Callable[[int, PreprocessingSpec], tuple[Picture, Picture]]


def masked_films(study: Study) -> MaskedFilms:
    """The benchmark's own masks, or the outlines that were given.

    Raises:
        BenchmarkError: There are neither.
    """
    if study.benchmark.masks is not None:
        return _of_benchmark(study.benchmark)
    check_masks(study.benchmark, study.outlined)
    return _of_outlines(study.outlined)


def parts(films: MaskedFilms, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Films to fit on and films to report, which share no patient.

    ``train`` and ``test`` (or ``val`` where there is no ``test``); folds of patients where there
    is one split.

    Raises:
        BenchmarkError: There are not two patients, or no training films.
    """
    present = set(films.splits.tolist())
    if len(present) == 1:
        folds = min(FOLDS, len(np.unique(films.patients)))
        if folds < 2:
            raise BenchmarkError("Segmentation needs films of two patients or more.")
        splitter = GroupKFold(folds, shuffle=True, random_state=seed)
        for fit, report in splitter.split(films.splits, groups=films.patients):
            yield _bounded(fit, seed), report
        return
    if "train" not in present:
        raise BenchmarkError("No film with a mask is in the split train.")
    held = "test" if "test" in present else "val"
    fit = np.flatnonzero(films.splits == "train")
    yield _bounded(fit, seed), np.flatnonzero(films.splits == held)


def _bounded(rows: Rows, seed: int) -> Rows:
    if len(rows) <= FITTED_FILMS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, FITTED_FILMS, replace=False))


def _of_benchmark(benchmark: Benchmark) -> MaskedFilms:
    masks, cohort = benchmark.masks, benchmark.cohort
    assert masks is not None  # noqa: S101 (the caller looked)
    known = np.flatnonzero(masks.known)

    def read(place: int, spec: PreprocessingSpec) -> tuple[Picture, Picture]:
        row = int(known[place])
        pixels = prepare(as_radiograph(cohort.paths[row]), spec).pixels
        return pixels, _squashed(masks.read(row), spec.size, Image.Resampling.BOX)

    return MaskedFilms(
        structures=masks.structures,
        patients=cohort.patients[known],
        splits=cohort.splits[known],
        read=read,
    )


def _of_outlines(films: Sequence[OutlinedFilm]) -> MaskedFilms:
    def read(place: int, spec: PreprocessingSpec) -> tuple[Picture, Picture]:
        film = films[place]
        pixels = _squashed(film.pixels[np.newaxis], spec.size, Image.Resampling.BILINEAR)[0]
        return pixels, _squashed(film.masks, spec.size, Image.Resampling.BOX)

    return MaskedFilms(
        structures=STRUCTURES,
        patients=np.array([film.patient for film in films], dtype=np.str_),
        splits=np.full(len(films), "train"),
        read=read,
    )


def _squashed(channels: Picture, size: int, resampling: Image.Resampling) -> Picture:
    resized = [Image.fromarray(channel).resize((size, size), resampling) for channel in channels]
    return np.stack([np.asarray(channel, dtype=np.float32) for channel in resized])
