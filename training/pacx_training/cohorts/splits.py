"""Splits for data sets that publish none: by patient, the same on every machine."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
from numpy.typing import NDArray

from pacx_training.cohorts.manifest import unnamed_patients
from pacx_training.cohorts.symile_mimic import PatientsUnknown

_RESOLUTION = 2**32


def split_by_patient(
    patients: NDArray[np.str_],
    *,
    val_share: float = 0.1,
    test_share: float = 0.1,
    salt: str = "pacx",
) -> NDArray[np.str_]:
    """Send every patient to one split, by a hash of the id.

    A patient's split depends on nothing but the id and the salt, so that more films, or another
    order of rows, move nobody from one split to another.

    Args:
        patients: str ``[N]``.
        val_share: Of the patients, on average.
        test_share: The same.
        salt: Another one gives another split.

    Returns:
        str ``[N]``: ``train``, ``val`` or ``test``.
    """
    drawn = {patient: _uniform(f"{salt}/{patient}") for patient in set(patients.tolist())}
    values = np.array([drawn[patient] for patient in patients.tolist()])
    bounds = [test_share, test_share + val_share]
    return np.array(["test", "val", "train"], dtype=np.str_)[
        np.searchsorted(bounds, values, "right")
    ]


def own_patients(films: int, name: str) -> NDArray[np.str_]:
    """A patient for every film of a data set that publishes no patients; warns that it is so."""
    message = f"{name} does not say which films share a patient: every film counts as its own."
    warnings.warn(message, PatientsUnknown, stacklevel=3)
    return unnamed_patients(films)


def _uniform(text: str) -> float:
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") / _RESOLUTION
