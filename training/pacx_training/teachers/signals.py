"""Filtered electrocardiograms, prepared once and memory-mapped from then on."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx_training.atomic import open_mapped
from pacx_training.cohorts.splits import split_by_patient
from pacx_training.cohorts.symile_mimic import Split, SymileSplit
from pacx_training.locks import locked
from pacx_training.progress import tracked
from pacx_training.teachers.filtering import filter_ecg
from pacx_training.teachers.records import LEADS, SAMPLES, read_wfdb

THREADS = 2
Reader = Callable[[], NDArray[np.float32] | None]
"""Reads one record that is there, ``[12, 5000]``."""


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
    path = cache / f"{split.name}-{fingerprint(split)}.npy"
    read = [partial(split.ecg, index) for index in there]
    return Signals(_filtered(read, path), split.patients[there])


def wfdb_signals(folder: Path, cache: Path) -> dict[Split, Signals]:
    """Filter every WFDB record below a folder, or map what was filtered before.

    A record is taken for a patient; splits go by a hash of its name, one in ten to ``val``.

    Raises:
        CohortError: There are none, or one is damaged.
    """
    headers = sorted(folder.rglob("*.hea"))
    if not headers:
        raise CohortError(f"The folder {folder.name} holds no WFDB records.")
    names = np.array([str(header.relative_to(folder)) for header in headers], dtype=np.str_)
    splits = split_by_patient(names, test_share=0)
    found: dict[Split, Signals] = {}
    for split in ("train", "val"):
        rows = np.flatnonzero(splits == split)
        digest = hashlib.sha256("\n".join(names[rows].tolist()).encode()).hexdigest()[:16]
        read = [partial(read_wfdb, headers[row]) for row in rows]
        found[split] = Signals(_filtered(read, cache / f"{split}-{digest}.npy"), rows)
    return found


def fingerprint(split: SymileSplit) -> str:
    """Sixteen hexadecimal digits that change with the admissions or their records."""
    digest = hashlib.sha256(split.admissions.tobytes())
    digest.update(np.ascontiguousarray(split.ecgs[:, 0, ::500, :]).tobytes())
    return digest.hexdigest()[:16]


def _filtered(read: Sequence[Reader], path: Path) -> NDArray[np.float16]:
    shape = (len(read), len(LEADS), SAMPLES)
    if not read:
        return np.zeros(shape, np.float16)
    if not path.is_file():
        with locked(path.parent / ".lock"):
            if not path.is_file():
                _write(read, path, shape)
    records: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    return records


def _write(read: Sequence[Reader], path: Path, shape: tuple[int, ...]) -> None:
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    records = open_mapped(draft, "f2", shape)
    with ThreadPoolExecutor(THREADS) as pool:
        filtered = pool.map(lambda one: filter_ecg(np.asarray(one())), read)
        for row, record in enumerate(tracked(filtered, "filtering ECGs", len(read))):
            records[row] = record
    records.flush()
    draft.replace(path)
