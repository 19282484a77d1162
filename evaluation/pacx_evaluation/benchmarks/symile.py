"""Films with the electrocardiogram and the laboratory values of the same admission."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pacx.errors import BenchmarkError
from pacx_evaluation.benchmarks.benchmark import Benchmark
from pacx_evaluation.benchmarks.paired_films import PERCENTILES, film_cohort, percentiles
from pacx_training.cohorts.paired import PairedCohort, read_paired
from pacx_training.cohorts.symile_mimic import SPLITS, PatientsUnknown, SymileSplit

if TYPE_CHECKING:
    from pacx_training.teachers.features import Features

ECG, LABS = "ECG teacher's embedding", "laboratory teacher's embedding"


def symile_benchmark(folder: Path, teachers: Path | None = None) -> Benchmark:
    """Read a cohort in Symile-MIMIC's layout, real or simulated.

    Its films are written once as PNG into the cohort's folder.

    Args:
        folder: Holds ``data_npy``.
        teachers: A run of ``pacx train distill`` with its teachers in ``ecg``, ``labs`` or both;
            what they say of the films' admissions is paired with the films, too. They keep what
            they have computed.

    Raises:
        BenchmarkError: The run holds no teachers.
        CheckpointError: One of them is damaged.
        CohortError: A file is missing or malformed, or two splits share a patient.
    """
    cohort, known = _read(folder)
    present = [cohort.splits[name] for name in SPLITS if len(cohort.splits[name])]
    return Benchmark(
        name="symile",
        title="Films, electrocardiograms and laboratory values",
        cohort=film_cohort("symile", folder, present, {}),
        targets=(),
        credit="; ".join(f"{s.name}. {s.citation} {s.licence}." for s in cohort.sources("")),
        warnings=() if known else ("Patients are not known: every admission counts as one.",),
        simulated=cohort.simulated,
        paired={PERCENTILES: percentiles(present)}
        | ({} if teachers is None else _said(teachers, present)),
    )


def _read(folder: Path) -> tuple[PairedCohort, bool]:
    """The cohort, and whether its patients are known."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cohort = read_paired(folder)
    return cohort, not any(issubclass(w.category, PatientsUnknown) for w in caught)


def _said(run: Path, splits: Sequence[SymileSplit]) -> dict[str, NDArray[np.float32]]:
    """What the teachers of a run say; rows of NaN where an admission lacks what they look at."""
    from pacx_training.teachers.features import ecg_features, labs_features  # imports torch

    readers: Mapping[str, tuple[str, Callable[[Path, SymileSplit], Features]]] = {
        ECG: ("ecg", ecg_features),
        LABS: ("labs", labs_features),
    }
    found = {
        name: np.concatenate([_rows(read(run / place, split)) for split in splits])
        for name, (place, read) in readers.items()
        if (run / place).is_dir()
    }
    if not found:
        raise BenchmarkError(
            "--teachers: the folder holds neither ecg nor labs, as pacx train distill makes them "
            "where none are named."
        )
    return found


def _rows(features: Features) -> NDArray[np.float32]:
    return np.where(features.present[:, np.newaxis], features.embeddings, np.float32(np.nan))
