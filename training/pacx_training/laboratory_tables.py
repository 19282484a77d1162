"""``pacx train percentiles``: raw laboratory values to the arrays that the teacher learns from.

::

    FOLDER/{train,val,test}/labs_percentiles_{split}.npy   float32 [n, analytes], mean-filled
                            labs_missingness_{split}.npy   int64 [n, analytes], 1 = observed
                            hadm_id_{split}.npy            int64 [n], where it was not there
    FOLDER/percentiles.safetensors                         sorted values of ``train``, by analyte
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import save

from pacx.errors import CohortError
from pacx_training.atomic import save_array, write_atomically
from pacx_training.cohorts.manifest import check_columns, numbers, read_table
from pacx_training.cohorts.symile_mimic import Split
from pacx_training.percentiles import Percentiles

SPLITS: tuple[Split, ...] = get_args(Split)
_KEYS = ("hadm_id", "split", "subject_id")


class LaboratoryTable(NamedTuple):
    """Raw values of admissions.

    Attributes:
        admissions: int64 ``[n]``, each once.
        splits: str ``[n]``.
        analytes: Names of the columns of ``values``.
        values: float32 ``[n, analytes]``; NaN where not measured.
    """

    admissions: NDArray[np.int64]
    splits: NDArray[np.str_]
    analytes: tuple[str, ...]
    values: NDArray[np.float32]


def read_laboratory(path: Path) -> LaboratoryTable:
    """Read a table: ``hadm_id``, ``split``, perhaps ``subject_id``; all else are analytes.

    Raises:
        CohortError: Names the table, the row and what is wrong with it.
    """
    table, name = read_table(path), path.name
    check_columns(table, ["hadm_id", "split"], name)
    analytes = tuple(column for column in table.columns if column not in _KEYS)
    if not analytes:
        raise CohortError(f"{name} has no column of laboratory values.")
    _check_splits(table, name)
    admissions = pd.to_numeric(table["hadm_id"], errors="coerce")
    odd = np.flatnonzero(~(admissions % 1 == 0) | admissions.duplicated())
    if odd.size:
        raise CohortError(f"{name}, row {odd[0] + 2}: hadm_id is no number or not the first.")
    return LaboratoryTable(
        admissions.to_numpy(dtype=np.int64),
        table["split"].to_numpy(dtype=np.str_),
        analytes,
        np.stack([numbers(table, analyte, name) for analyte in analytes], axis=1),
    )


def _check_splits(table: pd.DataFrame, name: str) -> None:
    odd = np.flatnonzero(~table["split"].isin(SPLITS).to_numpy())
    if odd.size:
        raise CohortError(f"{name}, row {odd[0] + 2}: split is none of {', '.join(SPLITS)}.")
    if "subject_id" not in table:
        return
    known = table["subject_id"].mask(table["subject_id"].eq(""))
    splits = table["split"].groupby(known).transform("nunique").to_numpy()
    torn = np.flatnonzero(splits > 1)
    if torn.size:
        raise CohortError(f"{name}, row {torn[0] + 2}: this patient is in two splits.")


def write_percentiles(table: Path, folder: Path) -> tuple[str, ...]:
    """Fit percentiles on ``train`` alone, and write the arrays of all splits.

    Rows follow ``hadm_id_{split}.npy`` where that file lies in the folder already.

    Args:
        table: CSV or Parquet, see :func:`read_laboratory`.
        folder: ``data_npy``; made where it is missing.

    Returns:
        The names of the analytes, in the order of the arrays' columns.

    Raises:
        CohortError: The table is wrong, has no rows of ``train``, or lacks an admission.
    """
    laboratory = read_laboratory(table)
    observed = np.isfinite(laboratory.values)
    train = laboratory.splits == "train"
    if not train.any():
        raise CohortError(f"{table.name} has no rows of the split train to fit percentiles on.")
    fitted = Percentiles.fit(laboratory.values[train], observed[train])
    filled = fitted.transform(laboratory.values, observed)
    # Everything is checked before anything is written.
    rows = {split: _rows(laboratory, folder / split, split, table.name) for split in SPLITS}
    for split, chosen in rows.items():
        save_array(folder / split / f"labs_percentiles_{split}.npy", filled[chosen])
        save_array(
            folder / split / f"labs_missingness_{split}.npy", observed[chosen].astype(np.int64)
        )
        save_array(folder / split / f"hadm_id_{split}.npy", laboratory.admissions[chosen])
    levels = dict(zip(laboratory.analytes, fitted.levels, strict=True))
    write_atomically(folder / "percentiles.safetensors", save(levels))
    return laboratory.analytes


def _rows(laboratory: LaboratoryTable, folder: Path, split: Split, name: str) -> NDArray[np.int64]:
    """The table's rows of a split, in the order of the admissions that lie there already."""
    own = np.flatnonzero(laboratory.splits == split)
    path = folder / f"hadm_id_{split}.npy"
    if not path.is_file():
        return own
    known = pd.Series(own, index=laboratory.admissions[own])
    wanted = known.reindex(np.load(path, allow_pickle=False).astype(np.int64))
    lost = np.flatnonzero(wanted.isna().to_numpy())
    if lost.size:
        raise CohortError(f"{path.name}, row {lost[0]}: {name} has no such admission in {split}.")
    return wanted.to_numpy(dtype=np.int64)
