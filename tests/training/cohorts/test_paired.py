"""What a training that goes on knows its paired cohort by."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pacx_training.cohorts.paired import read_paired


@pytest.mark.parametrize("file", ["cxr_train", "cxr_val", "ecg_train", "labs_percentiles_train"])
def test_it_changes_with_every_kind_of_array(file: str, cohort: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(cohort, tmp_path / "cohort"))
    before = read_paired(copy).digest
    assert before == read_paired(cohort).digest
    split = file.rsplit("_", 1)[1]
    path = copy / "data_npy" / split / f"{file}.npy"
    changed = np.load(path)
    # Row 0 may have no electrocardiogram, and what is not observed is filled with means.
    changed[:2] = changed[:2] * 0.5
    np.save(path, changed)
    if file.startswith("labs"):
        mask = copy / "data_npy" / split / f"labs_missingness_{split}.npy"
        np.save(mask, np.ones_like(np.load(mask)))
    assert read_paired(copy).digest != before
