"""Symile-MIMIC's ``data_npy`` folder: a film, an electrocardiogram and fifty labs of one admission.

Saporta et al., Contrasting with Symile, NeurIPS 2024; PhysioNet, symile-mimic. The files hold
admission ids only; which admissions belong to one patient is in a table (MIMIC's ``admissions.csv``
has ``hadm_id`` and ``subject_id``) that the caller names. Without it, only admissions can be kept
apart between splits, and a warning says so.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import FIRST_ROW, check_columns, read_table

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
ANALYTE_COUNT = 50
ECG_SHAPE = (1, 5000, 12)
FILE_LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
"""Order of the leads in the files, which is MIMIC-IV-ECG's: aVF stands before aVL."""
_STANDARD_ORDER = (0, 1, 2, 3, 5, 4, 6, 7, 8, 9, 10, 11)


class PatientsUnknown(UserWarning):
    """Without a table of patients, two films of one patient count as two patients."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SymileSplit:
    """One split; films and electrocardiograms stay on the disk until a row is asked for.

    Attributes:
        name: Which split.
        films: float ``[n, 3, S, S]``, normalised with ImageNet's mean and deviation.
        ecgs: float ``[n, 1, 5000, 12]`` in [-1, 1]; a row of NaN is a missing record.
        percentiles: float32 ``[n, 50]`` in [0, 1]; filled with the mean where not observed.
        observed: bool ``[n, 50]``.
        admissions: int64 ``[n]``, each once.
        patients: int64 ``[n]``; the admissions where patients are not known.
        rows: int64 ``[n]``, the row of each admission in the files.
    """

    name: Split
    films: NDArray[np.floating]
    ecgs: NDArray[np.floating]
    percentiles: NDArray[np.float32]
    observed: NDArray[np.bool_]
    admissions: NDArray[np.int64]
    patients: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of admissions."""
        return len(self.admissions)

    def film(self, index: int) -> NDArray[np.float32]:
        """Read one film, ``[3, S, S]``.

        Raises:
            CohortError: A pixel is not a finite number.
        """
        film = np.asarray(self.films[self.rows[index]], dtype=np.float32)
        if not np.isfinite(film).all():
            raise CohortError(f"cxr_{self.name}.npy, row {self.rows[index]}: not a finite number.")
        return film

    def ecg(self, index: int) -> NDArray[np.float32] | None:
        """Read one electrocardiogram, ``[12, 5000]`` in the usual order of leads.

        Returns:
            None where there is none.

        Raises:
            CohortError: Part of it is not a finite number.
        """
        ecg = np.asarray(self.ecgs[self.rows[index], 0], dtype=np.float32).T[_STANDARD_ORDER, :]
        finite = np.isfinite(ecg)
        if not finite.any():
            return None
        if not finite.all():
            raise CohortError(f"ecg_{self.name}.npy, row {self.rows[index]}: not a finite number.")
        return ecg


def read_symile(
    folder: Path, *, patients: Path | None = None, splits: tuple[Split, ...] = SPLITS
) -> dict[Split, SymileSplit]:
    """Read the splits of a cohort and check them.

    Args:
        folder: The one that holds ``data_npy``, or ``data_npy`` itself.
        patients: CSV with ``hadm_id`` and ``subject_id``; by default ``patients.csv`` beside
            ``data_npy`` where that is there.
        splits: Which to read.

    Raises:
        CohortError: A file is missing or malformed, or two splits share a patient; names the file
            and the row.
    """
    data = folder / "data_npy" if (folder / "data_npy").is_dir() else folder
    table = patients or data.parent / "patients.csv"
    known = _read_patients(table) if patients or table.is_file() else None
    if known is None:
        message = "Patients are not known: splits can only be kept apart by admission."
        warnings.warn(message, PatientsUnknown, stacklevel=2)
    found = {split: _read_split(data / split, split, known) for split in splits}
    _check_disjoint(found)
    return found


def observed_mask(
    percentiles: NDArray[np.floating], missingness: NDArray[np.generic], *, file: str
) -> NDArray[np.bool_]:
    """Find out which value of the missingness file means *observed*.

    The published code and a notebook disagree. Values that were not measured are filled with
    their column's mean, so the code whose entries are constant in every column is *missing*.

    Args:
        percentiles: ``[n, analytes]``.
        missingness: ``[n, analytes]`` of zeros and ones.
        file: Name of the missingness file, for errors.

    Raises:
        CohortError: Other values than 0 and 1, or neither code is constant where it should be.
    """
    odd = np.flatnonzero(~np.isin(missingness, (0, 1)).all(axis=1))
    if odd.size:
        raise CohortError(f"{file}, row {odd[0]}: neither 0 nor 1.")
    ones = missingness.astype(bool)
    if _is_filled(percentiles, ~ones):
        return ones
    if _is_filled(percentiles, ones):
        return ~ones
    raise CohortError(f"{file}: neither 0 nor 1 goes with mean-filled percentiles.")


def _is_filled(percentiles: NDArray[np.floating], missing: NDArray[np.bool_]) -> bool:
    highest = np.where(missing, percentiles, -np.inf).max(axis=0, initial=-np.inf)
    lowest = np.where(missing, percentiles, np.inf).min(axis=0, initial=np.inf)
    return bool((highest - lowest < 1e-5).all())


def _read_split(folder: Path, split: Split, known: pd.Series[int] | None) -> SymileSplit:
    films = _open(folder, f"cxr_{split}.npy", (3, None, None))
    count = len(films)
    ecgs = _open(folder, f"ecg_{split}.npy", ECG_SHAPE, count)
    percentiles = _open(folder, f"labs_percentiles_{split}.npy", (ANALYTE_COUNT,), count)
    missingness = _open(folder, f"labs_missingness_{split}.npy", (ANALYTE_COUNT,), count)
    admissions = _whole(_open(folder, f"hadm_id_{split}.npy", (), count), f"hadm_id_{split}.npy")
    bad = np.flatnonzero(~((percentiles >= 0) & (percentiles <= 1)).all(axis=1))
    if bad.size:
        raise CohortError(f"labs_percentiles_{split}.npy, row {bad[0]}: outside [0, 1].")
    mask = observed_mask(percentiles, missingness, file=f"labs_missingness_{split}.npy")
    # The test files repeat triplets as candidates of several queries.
    rows = np.sort(np.unique(admissions, return_index=True)[1])
    return SymileSplit(
        name=split,
        films=films,
        ecgs=ecgs,
        percentiles=percentiles[rows].astype(np.float32),
        observed=mask[rows],
        admissions=admissions[rows],
        patients=_patients_of(admissions[rows], known, split),
        rows=rows,
    )


def _open(
    folder: Path, name: str, shape: tuple[int | None, ...], count: int | None = None
) -> NDArray[np.floating]:
    if not (folder / name).is_file():
        raise CohortError(f"{name} is missing from the folder of its split.")
    try:
        array: NDArray[np.floating] = np.load(folder / name, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:  # the latter where the file is empty
        raise CohortError(f"{name} is not an array file.") from error
    fits = len(array.shape) == len(shape) + 1 and all(
        wanted in (None, found) for wanted, found in zip(shape, array.shape[1:], strict=True)
    )
    if not fits:
        wanted = ", ".join("S" if side is None else str(side) for side in shape)
        raise CohortError(f"{name} must have the shape [n, {wanted}], but has {array.shape}.")
    if count is not None and len(array) != count:
        raise CohortError(f"{name} has {len(array)} rows where the films have {count}.")
    return array


def _whole(numbers: NDArray[np.generic], file: str) -> NDArray[np.int64]:
    values = pd.to_numeric(pd.Series(numbers), errors="coerce")
    odd = np.flatnonzero(~(values % 1 == 0))
    if odd.size:
        raise CohortError(f"{file}, row {odd[0]}: no whole number.")
    return values.to_numpy(dtype=np.int64)


def _read_patients(path: Path) -> pd.Series[int]:
    table, keys = read_table(path), ["hadm_id", "subject_id"]
    check_columns(table, keys, path.name)
    known = table[keys].replace("", np.nan).dropna()
    ids = known.apply(pd.to_numeric, errors="coerce")
    odd = ids.index[~(ids % 1 == 0).all(axis=1)]
    if len(odd):
        raise CohortError(f"{path.name}, row {odd[0] + FIRST_ROW}: an id is no whole number.")
    ids = ids.astype(np.int64).drop_duplicates()
    twice = ids.index[ids["hadm_id"].duplicated()]
    if len(twice):
        raise CohortError(f"{path.name}, row {twice[0] + FIRST_ROW}: an admission of two patients.")
    subjects: pd.Series[int] = ids.set_index("hadm_id")["subject_id"]
    return subjects


def _patients_of(
    admissions: NDArray[np.int64], known: pd.Series[int] | None, split: Split
) -> NDArray[np.int64]:
    if known is None:
        return admissions
    patients = known.reindex(admissions)
    lost = np.flatnonzero(patients.isna())
    if lost.size:
        raise CohortError(f"hadm_id_{split}.npy, row {lost[0]}: not in the table of patients.")
    return np.asarray(patients, dtype=np.int64)


def _check_disjoint(splits: dict[Split, SymileSplit]) -> None:
    names = list(splits)
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            shared = np.isin(splits[second].patients, splits[first].patients)
            if shared.any():
                row = splits[second].rows[np.flatnonzero(shared)[0]]
                raise CohortError(
                    f"hadm_id_{second}.npy, row {row}: this patient is in {first} too."
                )
