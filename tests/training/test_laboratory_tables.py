"""Raw laboratory values become what the laboratory teacher reads, and train alone decides how."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from pacx.cli import app
from pacx.errors import CohortError
from pacx_training.cohorts.symile_mimic import observed_mask
from pacx_training.laboratory_tables import write_percentiles

ROWS = """hadm_id,subject_id,split,creatinine,sodium
1,10,train,0.8,140
2,10,train,1.2,
3,11,train,,136
4,12,train,2.0,138
5,13,val,1.0,139
6,14,test,9.0,
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "labs.csv"
    path.write_text(ROWS)
    return path


def _array(folder: Path, kind: str, split: str) -> NDArray[np.float64]:
    return np.asarray(np.load(folder / split / f"{kind}_{split}.npy"), dtype=np.float64)


def test_percentiles_are_those_of_the_training_split(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data_npy"
    result = CliRunner().invoke(app, ["train", "percentiles", str(table), "-o", str(folder)])
    assert result.exception is None, result.output
    train = _array(folder, "labs_percentiles", "train")
    np.testing.assert_allclose(train[:, 0], [1 / 6, 0.5, 0.5, 5 / 6], rtol=1e-6)
    np.testing.assert_allclose(
        _array(folder, "labs_percentiles", "val"), [[1 / 3, 2 / 3]], rtol=1e-6
    )
    np.testing.assert_allclose(_array(folder, "labs_percentiles", "test"), [[1, 0.5]])
    assert _array(folder, "labs_missingness", "test").tolist() == [[1, 0]]
    assert _array(folder, "hadm_id", "train").tolist() == [1, 2, 3, 4]
    missing = _array(folder, "labs_missingness", "train")
    mask = observed_mask(train, missing, file="labs")
    assert mask.tolist() == (missing == 1).tolist()


def test_other_splits_change_nothing(table: Path, tmp_path: Path) -> None:
    write_percentiles(table, tmp_path / "a")
    table.write_text(ROWS.replace("5,13,val,1.0,139", "5,13,val,77,1"))
    write_percentiles(table, tmp_path / "b")
    first, second = (_array(tmp_path / name, "labs_percentiles", "train") for name in "ab")
    np.testing.assert_array_equal(first, second)


def test_rows_follow_the_admissions_that_lie_there(table: Path, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    np.save(tmp_path / "train" / "hadm_id_train.npy", np.array([4, 1, 4]))
    write_percentiles(table, tmp_path)
    found = _array(tmp_path, "labs_percentiles", "train")[:, 0]
    np.testing.assert_allclose(found, [5 / 6, 1 / 6, 5 / 6], rtol=1e-6)


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        ("4,12,train,2.0", "4,12,train,many", "row 5: creatinine is not a number"),
        ("4,12,train", "4,12,holdout", "row 5: split is none of"),
        ("4,12,train", "4,13,train", "row 5: this patient is in two splits"),
        ("4,12,train", "3,12,train", "row 5: hadm_id is no number or not the first"),
        ("hadm_id", "visit", "lacks the columns hadm_id"),
        (",train", ",val", "no rows of the split train"),
    ],
)
def test_what_is_wrong_is_named(table: Path, before: str, after: str, error: str) -> None:
    table.write_text(ROWS.replace(before, after))
    with pytest.raises(CohortError, match=error):
        write_percentiles(table, table.parent / "made")
    assert not (table.parent / "made").exists()


def test_an_admission_without_laboratory_row_is_refused(table: Path, tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    np.save(tmp_path / "val" / "hadm_id_val.npy", np.array([99]))
    with pytest.raises(CohortError, match=r"hadm_id_val\.npy, row 0: labs\.csv has no such"):
        write_percentiles(table, tmp_path)
    assert not (tmp_path / "train").exists()


def test_rows_of_unknown_patients_are_not_one_patient(table: Path, tmp_path: Path) -> None:
    table.write_text(ROWS.replace("3,11,", "3,,").replace("5,13,", "5,,"))
    assert write_percentiles(table, tmp_path / "a") == ("creatinine", "sodium")
