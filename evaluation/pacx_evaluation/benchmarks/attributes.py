"""Columns of a table from which subgroups are made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ATTRIBUTES = ("sex", "age", "view", "site")
AGE_BANDS = ((0, 18, "under 18"), (18, 40, "18 to 39"), (40, 60, "40 to 59"), (60, 200, "60 up"))
_SEXES = {"m": "men", "male": "men", "f": "women", "female": "women"}


def read_attributes(
    table: pd.DataFrame, columns: Sequence[str] = ATTRIBUTES
) -> dict[str, NDArray[np.str_]]:
    """The columns that are there and not empty, as text ``[N]``; ages become bands."""
    readers = {"sex": _sex, "age": age_bands, "view": _upper}
    found = {}
    for column in columns:
        if column in table:
            values = readers.get(column, _text)(table[column])
            if (values != "").any():
                found[column] = values
    return found


def age_bands(ages: pd.Series[str]) -> NDArray[np.str_]:
    """Ages in years as bands; what is no number is unknown."""
    years = pd.to_numeric(ages, errors="coerce").to_numpy(dtype=np.float64)
    bands = np.full(len(years), "", dtype="<U16")
    for low, high, name in AGE_BANDS:
        bands[(years >= low) & (years < high)] = name
    return bands


def _sex(values: pd.Series[str]) -> NDArray[np.str_]:
    return np.array([_SEXES.get(str(v).strip().lower(), "") for v in values], dtype=np.str_)


def _upper(values: pd.Series[str]) -> NDArray[np.str_]:
    return np.array([str(v).strip().upper() for v in values], dtype=np.str_)


def _text(values: pd.Series[str]) -> NDArray[np.str_]:
    return np.array([str(v).strip() for v in values], dtype=np.str_)
