"""The simulated markers that are probed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx_training.cohorts.simulated.cohort import FIRST_ADMISSION
from pacx_training.cohorts.simulated.laboratory import ANALYTES
from pacx_training.cohorts.symile_mimic import SPLITS

_ITEMS = [analyte.item_id for analyte in ANALYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """One simulated measurement.

    Attributes:
        name: As heads call it.
        unit: Of its values.
        item: MIMIC's item id of a laboratory value; None where it is measured on the ECG.
        column: Of the simulated heart beat, otherwise.
        logarithmic: Whether its logarithm is regressed, its values being skewed.
        low: Whether being low is the bad sign.
        cardiac: Whether it tells about the heart.
    """

    name: str
    unit: str
    item: int | None = None
    column: str | None = None
    logarithmic: bool = False
    low: bool = False
    cardiac: bool = False


MARKERS = (
    Marker(name="NT-proBNP", unit="pg/mL", item=50963, logarithmic=True, cardiac=True),
    Marker(name="troponin T", unit="ng/mL", item=51003, logarithmic=True, cardiac=True),
    Marker(name="QRS duration", unit="ms", column="ecg_qrs_width_ms", cardiac=True),
    Marker(name="heart rate", unit="1/min", column="ecg_rate_bpm", cardiac=True),
    Marker(name="creatinine", unit="mg/dL", item=50912, logarithmic=True),
    Marker(name="haemoglobin", unit="g/dL", item=51222, low=True),
    Marker(name="white cells", unit="K/uL", item=51301, logarithmic=True),
    Marker(name="carbon dioxide pressure", unit="mmHg", item=50818),
)
SHARE = 0.25
"""Of the films that stage 2 saw, whose value counts as high, or as low where that is the sign."""

LEAST = 1e-3
"""Of a value before its logarithm is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Markers:
    """Values of all films of a manifest, in its order.

    Attributes:
        learned: ``[N, markers]`` in the markers' units, logarithms where a marker says so.
        high: bool ``[N, markers]``, beyond the quartile of ``train`` on the bad side.
    """

    learned: NDArray[np.float64]
    high: NDArray[np.bool_]


def read_markers(cohort: Path, splits: NDArray[np.str_]) -> Markers:
    """Read what the simulation drew for every film.

    Args:
        cohort: Folder that ``pacx simulate --given`` wrote.
        splits: Of the manifest's films, ``[N]``.
    """
    values = np.empty((len(splits), len(MARKERS)))
    for split in SPLITS:
        truth = pd.read_parquet(cohort / "truth" / f"{split}.parquet")
        laboratory = np.load(cohort / "truth" / f"laboratory_{split}.npy")
        rows = truth["hadm_id"].to_numpy() - FIRST_ADMISSION
        values[rows] = np.stack([_column(m, truth, laboratory) for m in MARKERS], axis=1)
    signs = np.array([-1.0 if marker.low else 1.0 for marker in MARKERS])
    bad = values * signs
    limit = np.quantile(bad[splits == "train"], 1 - SHARE, axis=0)
    logarithmic = np.array([marker.logarithmic for marker in MARKERS])
    learned = np.where(logarithmic, np.log(np.maximum(values, LEAST)), values)
    return Markers(learned=learned, high=bad > limit)


def _column(
    marker: Marker, truth: pd.DataFrame, laboratory: NDArray[np.float32]
) -> NDArray[np.float64]:
    if marker.item is None:
        return truth[marker.column].to_numpy(dtype=np.float64)
    return np.asarray(laboratory[:, _ITEMS.index(marker.item)], dtype=np.float64)
