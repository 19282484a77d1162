"""Filtered electrocardiograms of a split, prepared once and memory-mapped from then on."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pacx_training.cohorts.symile_mimic import SymileSplit
from pacx_training.teachers.filtering import filter_ecg
from pacx_training.teachers.records import LEADS, SAMPLES

THREADS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """The records of a split that are there.

    Attributes:
        records: float16 ``[m, 12, 5000]``, filtered and standardised, memory-mapped.
        patients: int64 ``[m]``.
    """

    records: NDArray[np.float16]
    patients: NDArray[np.int64]


def filtered_signals(split: SymileSplit, cache: Path) -> Signals:
    """Filter every record of a split, or map what was filtered before.

    Raises:
        CohortError: A record is damaged.
    """
    there = [index for index in range(len(split)) if split.ecg(index) is not None]
    if not there:
        return Signals(np.zeros((0, len(LEADS), SAMPLES), np.float16), split.patients[:0])
    path = cache / f"{split.name}-{fingerprint(split)}.npy"
    if not path.is_file():
        _write(split, there, path)
    records: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    return Signals(records, split.patients[there])


def fingerprint(split: SymileSplit) -> str:
    """Sixteen hexadecimal digits that change with the admissions or their records."""
    digest = hashlib.sha256(split.admissions.tobytes())
    digest.update(np.ascontiguousarray(split.ecgs[:, 0, ::500, :]).tobytes())
    return digest.hexdigest()[:16]


def _write(split: SymileSplit, there: list[int], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shape = (len(there), len(LEADS), SAMPLES)
    records = np.lib.format.open_memmap(draft, "w+", np.float16, shape)
    with ThreadPoolExecutor(THREADS) as pool:
        filtered = pool.map(lambda index: filter_ecg(np.asarray(split.ecg(index))), there)
        for row, record in enumerate(filtered):
            records[row] = record
    records.flush()
    draft.replace(path)
