"""Symile-MIMIC's files, written row by row, with the truth beside them.

::

    data_npy/{train,val,test}/cxr_{split}.npy              float16 [n, 3, S, S], ImageNet-normalised
                              ecg_{split}.npy              float32 [n, 1, 5000, 12] in [-1, 1]
                              labs_percentiles_{split}.npy float32 [n, 50], mean-filled
                              labs_missingness_{split}.npy int64 [n, 50], 1 = observed
                              hadm_id_{split}.npy          int64 [n]
    patients.csv          hadm_id, subject_id: which visits belong to one patient
    laboratory.csv        the fifty columns: item id, name, unit
    truth/{split}.parquet the latent state, the chest and the heart beat of every visit
    truth/laboratory_{split}.npy  float32 [n, 50], every value, measured or not
    truth/masks_{split}.npy  uint8 [n, S, S]: 0 else, 1 heart, 2 right lung, 3 left lung,
                             4 right effusion, 5 left effusion; 255 where not known
    simulation.json       arguments, seed and version

Phantom films lie there as pictures too, see :mod:`.pictures`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.atomic import open_mapped
from pacx_training.cohorts.simulated.electrocardiogram import LEADS
from pacx_training.cohorts.simulated.laboratory import ANALYTES, LaboratoryRecord
from pacx_training.cohorts.symile_mimic import FILE_LEADS, SPLITS, Split
from pacx_training.percentiles import Percentiles

ECG_FULL_SCALE_MV = 4.0
"""One in the files; Symile scales to [-1, 1], and a fixed scale keeps the voltage."""
UNKNOWN = 255
"""In masks of films whose outlines are not known."""
_FILE_ORDER = [LEADS.index(lead) for lead in FILE_LEADS]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Admission:
    """One row of a cohort.

    Attributes:
        number: Its ``hadm_id``.
        patient: Its ``subject_id``.
        pixels: float32 ``[S, S]`` in [0, 1].
        mask: uint8 ``[S, S]``.
        ecg_mv: float32 ``[12, 5000]``, leads in the usual order; None where there is none.
        laboratory: Fifty values and which of them were measured.
        truth: Further columns of ``truth/{split}.parquet``.
    """

    number: int
    patient: int
    pixels: NDArray[np.float32]
    mask: NDArray[np.uint8]
    ecg_mv: NDArray[np.float32] | None
    laboratory: LaboratoryRecord
    truth: Mapping[str, object]


class SplitWriter:
    """Writes one split row by row, so that memory stays flat however large the cohort is."""

    def __init__(self, folder: Path, split: Split, count: int, size: int) -> None:
        self._data, self._truth = folder / "data_npy" / split, folder / "truth"
        self._split, self._spec = split, PreprocessingSpec(size=size)
        self._rows: list[dict[str, object]] = []
        self._data.mkdir(parents=True, exist_ok=True)
        self._truth.mkdir(parents=True, exist_ok=True)
        self._films = self._open(self._data / f"cxr_{split}.npy", "f2", (count, 3, size, size))
        self._ecgs = self._open(self._data / f"ecg_{split}.npy", "f4", (count, 1, 5000, 12))
        self._masks = self._open(self._truth / f"masks_{split}.npy", "u1", (count, size, size))
        self._values = np.zeros((count, len(ANALYTES)), dtype=np.float32)
        self._observed = np.zeros((count, len(ANALYTES)), dtype=np.int64)

    @staticmethod
    def _open(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
        if shape[0] == 0:
            empty = np.zeros(shape, dtype)
            np.save(path, empty)
            return empty
        return open_mapped(path, dtype, shape)

    def add(self, admission: Admission) -> None:
        """Write the next row."""
        row, ecg = len(self._rows), admission.ecg_mv
        self._films[row] = normalise(admission.pixels[np.newaxis], self._spec)[0]
        self._ecgs[row, 0] = np.nan
        if ecg is not None:
            self._ecgs[row, 0] = np.clip(ecg[_FILE_ORDER].T / ECG_FULL_SCALE_MV, -1, 1)
        self._masks[row] = admission.mask
        self._values[row] = admission.laboratory.values
        self._observed[row] = admission.laboratory.observed
        ids = {"hadm_id": admission.number, "subject_id": admission.patient, "simulated": True}
        self._rows.append({**ids, **admission.truth})

    def laboratory(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Values and mask of all rows, ``[n, 50]`` each."""
        return self._values, self._observed.astype(bool)

    def finish(self, percentiles: Percentiles) -> list[tuple[int, int]]:
        """Write what needs the whole split, flush, and answer its admissions and patients."""
        ids = [(int(str(row["hadm_id"])), int(str(row["subject_id"]))) for row in self._rows]
        filled = percentiles.transform(self._values, self._observed.astype(bool))
        np.save(self._data / f"labs_percentiles_{self._split}.npy", filled)
        np.save(self._data / f"labs_missingness_{self._split}.npy", self._observed)
        admissions = np.array([admission for admission, _ in ids], dtype=np.int64)
        np.save(self._data / f"hadm_id_{self._split}.npy", admissions)
        np.save(self._truth / f"laboratory_{self._split}.npy", self._values)
        pd.DataFrame(self._rows).to_parquet(self._truth / f"{self._split}.parquet", index=False)
        for array in (self._films, self._ecgs, self._masks):
            if isinstance(array, np.memmap):
                array.flush()
        return ids


def begin(folder: Path) -> None:
    """Take from an older cohort what it cannot be read without, so that no mixture is read.

    Were this one not finished, films of the older one would stand beside rows of zeros.
    """
    for name in ("simulation.json", *(f"data_npy/{s}/hadm_id_{s}.npy" for s in SPLITS)):
        (folder / name).unlink(missing_ok=True)


def describe(folder: Path, ids: Iterable[tuple[int, int]], facts: Mapping[str, object]) -> None:
    """Write the tables beside the splits, and ``simulation.json`` last of all.

    Args:
        folder: Of the cohort.
        ids: Admission and patient of every row.
        facts: What was simulated and how.
    """
    _write_csv(folder / "patients.csv", ("hadm_id", "subject_id"), ids)
    columns = ((a.item_id, a.name, a.unit) for a in ANALYTES)
    _write_csv(folder / "laboratory.csv", ("item_id", "name", "unit"), columns)
    content = {"simulated": True, "pacx": version("pacx"), **facts}
    (folder / "simulation.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
