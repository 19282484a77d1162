"""VinDr-CXR 1.0.0 (Nguyen et al., Scientific Data 2022), as PhysioNet publishes it.

::

    annotations/image_labels_train.csv   image_id, rad_id, a column of 0 and 1 for each label:
                                         three readers, so three rows for each film
    annotations/image_labels_test.csv    image_id and the labels: the consensus of five
    train/<image_id>.dicom, test/<image_id>.dicom
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import (
    FIRST_ROW,
    Cohort,
    check_columns,
    existing,
    numbers,
    read_table,
    words,
)
from pacx_training.cohorts.splits import own_patients, split_by_patient

MINIMUM_POSITIVES = 50
_KEYS = ("image_id", "rad_id")
_RENAMED = {"Other disease": "Other diseases"}
"""The test table names this column otherwise."""


def read_vindr(folder: Path, *, minimum_positives: int = MINIMUM_POSITIVES) -> Cohort:
    """Read the films with the majority of their readers' labels.

    Args:
        folder: Holds ``annotations``, ``train`` and ``test``.
        minimum_positives: Labels with fewer positive films outside ``test`` are left out.

    Returns:
        Published training films as ``train`` and ``val``, published test films as ``test``.

    Raises:
        CohortError: Names the table, the row and what is wrong with it.
    """
    train, test = _Votes.read(folder, "train"), _Votes.read(folder, "test")
    train.refuse_shared(test)
    positives = (train.shares > 0.5).sum()
    labels = [name for name in train.labels if positives[name] >= minimum_positives]
    check_columns(test.shares, labels, test.table)
    shares = pd.concat([train.shares[labels], test.shares[labels]])
    own = split_by_patient(train.images, test_share=0)
    return Cohort(
        name="vindr-cxr",
        paths=train.films(folder) + test.films(folder),
        patients=own_patients(len(shares), "VinDr-CXR"),
        splits=np.concatenate([own, np.full(len(test.images), "test")]),
        label_names=tuple(labels),
        labels=(shares.to_numpy() > 0.5).astype(np.float32),
        weights=np.ones(len(shares)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Votes:
    """One published table, a film a row.

    Attributes:
        split: As published.
        shares: Of the readers who saw each label.
        rows: Where each film first stands in the table, from 0.
    """

    split: str
    shares: pd.DataFrame
    rows: NDArray[np.int64]

    @classmethod
    def read(cls, folder: Path, split: str) -> _Votes:
        name = f"image_labels_{split}.csv"
        table = read_table(folder / "annotations" / name).rename(columns=_RENAMED)
        check_columns(table, ["image_id"], name)
        labels = [str(column) for column in table.columns if column not in _KEYS]
        binary = pd.DataFrame({label: _binary(table, label, name) for label in labels})
        images = np.array(words(table, "image_id", name), dtype=np.str_)
        again = np.flatnonzero(table.duplicated([key for key in _KEYS if key in table]).to_numpy())
        if len(again):
            raise CohortError(
                f"{name}, row {again[0] + FIRST_ROW}: this film was read above already."
            )
        return cls(split, binary.groupby(images).mean(), np.unique(images, return_index=True)[1])

    @property
    def table(self) -> str:
        return f"image_labels_{self.split}.csv"

    @property
    def labels(self) -> list[str]:
        return [str(column) for column in self.shares.columns]

    @property
    def images(self) -> NDArray[np.str_]:
        return self.shares.index.to_numpy(dtype=np.str_)

    def refuse_shared(self, test: _Votes) -> None:
        """Refuse films that are published in both parts, of which nobody says whose they are."""
        both = np.isin(test.images, self.images)
        if both.any():
            row = test.rows[both][0] + FIRST_ROW
            raise CohortError(f"{test.table}, row {row}: this film is in {self.table} too.")

    def films(self, folder: Path) -> tuple[Path, ...]:
        names = [f"{image}.dicom" for image in self.images.tolist()]
        return existing(folder / self.split, names, self.table, self.rows)


def _binary(table: pd.DataFrame, column: str, name: str) -> NDArray[np.float32]:
    values = numbers(table, column, name)
    wrong = np.flatnonzero(~np.isin(values, (0, 1)))
    if len(wrong):
        raise CohortError(f"{name}, row {wrong[0] + 2}: {column} is neither 0 nor 1.")
    return values
