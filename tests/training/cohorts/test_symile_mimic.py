"""Symile's layout: read, checked, and refused with the file and the row."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pacx.errors import CohortError
from pacx_training.cohorts.symile_mimic import PatientsUnknown, observed_mask, read_symile

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


@pytest.fixture
def copy(cohort: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cohort, tmp_path / "copy"))


def change(path: Path, edit: Callable[[Array], None]) -> None:
    array = np.load(path)
    edit(array)
    np.save(path, array)


def test_a_cohort_is_read_with_its_patients(cohort: Path) -> None:
    splits = read_symile(cohort)
    train = splits["train"]
    assert sum(len(split) for split in splits.values()) == 24
    assert len(np.unique(train.patients)) < len(train)
    assert train.film(0).shape == (3, 64, 64)
    ecgs = [train.ecg(index) for index in range(len(train))]
    assert any(ecg is None for ecg in ecgs)
    assert {ecg.shape for ecg in ecgs if ecg is not None} == {(12, 5000)}
    one, two, three, _, left, foot = next(ecg for ecg in ecgs if ecg is not None)[:6]
    np.testing.assert_allclose(left, (one - three) / 2, atol=1e-4)
    np.testing.assert_allclose(foot, (two + three) / 2, atol=1e-4)
    assert ((train.percentiles >= 0) & (train.percentiles <= 1)).all()


def test_without_patients_there_is_a_warning(copy: Path) -> None:
    (copy / "patients.csv").unlink()
    with pytest.warns(PatientsUnknown, match="by admission"):
        train = read_symile(copy)["train"]
    np.testing.assert_array_equal(train.patients, train.admissions)


def test_the_data_folder_itself_is_accepted(copy: Path) -> None:
    assert len(read_symile(copy / "data_npy")["train"]) == len(read_symile(copy)["train"])


def test_repeated_candidates_of_the_test_split_count_once(copy: Path) -> None:
    folder = copy / "data_npy" / "test"
    before = read_symile(copy)["test"]
    for file in folder.glob("*.npy"):
        rows = np.load(file)
        np.save(file, np.concatenate([rows, rows[:1]]))
    after = read_symile(copy)["test"]
    np.testing.assert_array_equal(after.admissions, before.admissions)


def test_the_meaning_of_the_missingness_file_is_found_out() -> None:
    observed = np.array([[1, 0], [0, 0], [0, 1], [1, 1]])
    percentiles = np.where(observed, np.linspace(0, 1, 8).reshape(4, 2), 0.5)
    for codes in (observed, 1 - observed):
        np.testing.assert_array_equal(observed_mask(percentiles, codes, file="m"), observed == 1)
    with pytest.raises(CohortError, match="neither 0 nor 1 goes with"):
        observed_mask(np.linspace(0, 1, 8).reshape(4, 2), observed, file="m")


def test_a_patient_in_two_splits_is_refused(copy: Path) -> None:
    shared = np.load(copy / "data_npy" / "train" / "hadm_id_train.npy")[0]

    def edit(array: Array) -> None:
        array[1] = shared

    change(copy / "data_npy" / "test" / "hadm_id_test.npy", edit)
    with pytest.raises(CohortError, match=r"hadm_id_test.npy, row 1: this patient is in train too"):
        read_symile(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "data_npy" / "val" / "ecg_val.npy").unlink()
    with pytest.raises(CohortError, match=r"ecg_val\.npy is missing"):
        read_symile(copy)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("labs_percentiles_train", 1.5, r"row 2: outside \[0, 1\]"),
        ("labs_percentiles_train", np.nan, r"row 2: outside \[0, 1\]"),
        ("labs_missingness_train", 7, "row 2: neither 0 nor 1"),
    ],
)
def test_a_bad_value_is_named_by_file_and_row(
    copy: Path, name: str, value: float, message: str
) -> None:
    def edit(array: Array) -> None:
        array[2, 3] = value

    change(copy / "data_npy" / "train" / f"{name}.npy", edit)
    with pytest.raises(CohortError, match=rf"{name}\.npy, {message}"):
        read_symile(copy)


def test_wrong_shapes_and_counts_are_refused(copy: Path) -> None:
    path = copy / "data_npy" / "train" / "ecg_train.npy"
    ecgs = np.load(path)
    np.save(path, ecgs[:-1])
    with pytest.raises(CohortError, match="rows where the films have"):
        read_symile(copy)
    np.save(path, ecgs[:, :, :100])
    with pytest.raises(CohortError, match=r"must have the shape \[n, 1, 5000, 12\]"):
        read_symile(copy)


def test_a_broken_film_or_record_is_refused_when_it_is_read(copy: Path) -> None:
    folder = copy / "data_npy" / "train"

    def break_film(array: Array) -> None:
        array[1, 0, 5, 5] = np.nan

    def break_ecg(array: Array) -> None:
        array[:, 0, 17, 3] = np.nan
        array[:, 0, 18, 3] = 0.0

    change(folder / "cxr_train.npy", break_film)
    change(folder / "ecg_train.npy", break_ecg)
    train = read_symile(copy)["train"]
    with pytest.raises(CohortError, match=r"cxr_train.npy, row 1"):
        train.film(1)
    with pytest.raises(CohortError, match=r"ecg_train.npy, row"):
        [train.ecg(index) for index in range(len(train))]


def test_pickles_are_not_opened(copy: Path) -> None:
    path = copy / "data_npy" / "train" / "hadm_id_train.npy"
    np.save(path, np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(CohortError, match="not an array file"):
        read_symile(copy)


def test_a_table_that_gives_an_admission_to_two_patients_is_refused(
    cohort: Path, tmp_path: Path
) -> None:
    table = tmp_path / "admissions.csv"
    table.write_text("hadm_id,subject_id\n1,1\n1,2\n", encoding="utf-8")
    with pytest.raises(CohortError, match="row 3: an admission of two patients"):
        read_symile(cohort, patients=table)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("abc,7", "row 26: an id is no whole number"),
        ("7.5,7", "row 26: an id is no whole number"),
        (",7", None),
    ],
)
def test_a_line_of_the_table_of_patients_that_is_no_admission(
    line: str, words: str | None, copy: Path
) -> None:
    path = copy / "patients.csv"
    path.write_text(path.read_text("utf-8") + line + "\n", "utf-8-sig", newline="\r\n")
    if words is None:
        assert len(np.unique(read_symile(copy)["train"].patients)) > 1
    else:
        with pytest.raises(CohortError, match=words):
            read_symile(copy)


def test_half_an_admission_is_refused(copy: Path) -> None:
    path = copy / "data_npy/train/hadm_id_train.npy"
    np.save(path, np.load(path) + np.eye(1, len(np.load(path)), 3)[0] / 2)
    with pytest.raises(CohortError, match=r"hadm_id_train\.npy, row 3: no whole number"):
        read_symile(copy)


def test_an_empty_file_is_no_array(copy: Path) -> None:
    (copy / "data_npy/train/cxr_train.npy").write_bytes(b"")
    with pytest.raises(CohortError, match=r"cxr_train\.npy is not an array file"):
        read_symile(copy)
