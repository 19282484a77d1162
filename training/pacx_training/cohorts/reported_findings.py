"""The fourteen findings that CheXpert's labeller reads off reports, and what *uncertain* means."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import numbers

REPORTED_FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion",
    "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
Uncertain = Literal["unknown", "positive", "negative"]
_VALUE_OF: dict[Uncertain, float] = {"unknown": np.nan, "positive": 1.0, "negative": 0.0}


def reported_labels(
    table: pd.DataFrame, name: str, *, uncertain: Uncertain, unmentioned: float = 0.0
) -> NDArray[np.float32]:
    """Labels ``[N, 14]`` in the order of :data:`REPORTED_FINDINGS`.

    Args:
        table: With a column for each finding: 1 present, 0 absent, -1 uncertain, empty where the
            report does not mention it.
        name: Of the table, for errors.
        uncertain: What -1 becomes (U-Ignore, U-Ones and U-Zeros of Irvin et al., AAAI 2019).
        unmentioned: What an empty cell becomes; the authors of both data sets take it for absent.

    Raises:
        CohortError: Names the table, the column and the row whose value is another.
    """
    columns = []
    for finding in REPORTED_FINDINGS:
        values = numbers(table, finding, name)
        wrong = np.flatnonzero(~(np.isin(values, (-1, 0, 1)) | np.isnan(values)))
        if len(wrong):
            raise CohortError(f"{name}, row {wrong[0] + 2}: {finding} is none of 1, 0, -1.")
        values = np.where(np.isnan(values), unmentioned, values)
        columns.append(np.where(values == -1, _VALUE_OF[uncertain], values))
    return np.stack(columns, axis=1).astype(np.float32)
