"""Published data sets, each in a miniature of its layout: read, split by patient, checked."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacx.errors import CohortError
from pacx_training.cohorts import chestx6, tb
from pacx_training.cohorts.catalogue import read_cohort
from pacx_training.cohorts.chestxray14 import read_chestxray14
from pacx_training.cohorts.chexchonet import read_chexchonet
from pacx_training.cohorts.chexpert import read_chexpert
from pacx_training.cohorts.covid_qu_ex import read_covid_qu_ex
from pacx_training.cohorts.cxl_seg import read_cxl_seg
from pacx_training.cohorts.manifest import Cohort
from pacx_training.cohorts.medmod import PHENOTYPES, read_medmod
from pacx_training.cohorts.mimic_cxr import read_mimic_cxr
from pacx_training.cohorts.qata_cov19 import read_qata
from pacx_training.cohorts.reported_findings import Uncertain
from pacx_training.cohorts.splits import split_by_patient
from pacx_training.cohorts.symile_mimic import PatientsUnknown
from pacx_training.cohorts.vindr_cxr import read_vindr
from tests.training.cohorts import miniatures

NO_PATIENTS = pytest.mark.filterwarnings(
    f"ignore::{PatientsUnknown.__module__}.{PatientsUnknown.__name__}"
)


def edit(path: Path, old: str, new: str) -> None:
    """Change one place of a text file that must be there."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


@pytest.mark.parametrize(("uncertain", "value"), [("positive", 1), ("negative", 0)])
def test_chexpert(uncertain: Uncertain, value: float, tmp_path: Path) -> None:
    cohort = read_chexpert(miniatures.chexpert(tmp_path), uncertain=uncertain)
    assert cohort.patients.tolist() == ["patient00001", "patient00002", "patient64541"]
    assert cohort.splits.tolist() == ["train", "train", "val"]
    np.testing.assert_array_equal(cohort.label("Edema"), [1, value, 0])
    assert np.isnan(read_chexpert(tmp_path).label("Edema")[1])
    assert len(read_chexpert(tmp_path, frontal_only=False)) == 4


def test_chexpert_names_the_row_of_a_missing_film_after_lateral_ones(tmp_path: Path) -> None:
    folder = miniatures.chexpert(tmp_path)
    (folder / "train/patient00002/study1/view1_frontal.jpg").unlink()
    with pytest.raises(CohortError, match=r"train\.csv, row 4: the image file is missing"):
        read_chexpert(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-1.0", "2.0", r"train\.csv, row 4: Edema is none of 1, 0, -1"),
        ("-1.0", "many", r"train\.csv, row 4: Edema is not a number"),
        ("/study1/", "/", r"train\.csv, row 2: Path is not"),
        ("Frontal/Lateral", "View", r"train\.csv lacks the columns Frontal/Lateral"),
    ],
)
def test_chexpert_refuses_what_it_cannot_read(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    folder = miniatures.chexpert(tmp_path)
    edit(folder / "train.csv", old, new)
    with pytest.raises(CohortError, match=message):
        read_chexpert(folder)


def test_chexpert_refuses_a_patient_in_two_splits(tmp_path: Path) -> None:
    folder = miniatures.chexpert(tmp_path)
    miniatures.film(folder / "valid/patient00002/study1/view1_frontal.jpg")
    edit(folder / "valid.csv", "patient64541", "patient00002")
    with pytest.raises(CohortError, match=r"valid\.csv, row 2: its patient is in train\.csv too"):
        read_chexpert(folder)


def test_mimic_cxr(tmp_path: Path) -> None:
    cohort = read_mimic_cxr(miniatures.mimic_cxr(tmp_path))
    assert [path.stem for path in cohort.paths] == ["aa-1", "bb-1", "cc-1"]
    assert cohort.splits.tolist() == ["train", "val", "test"]
    assert cohort.patients.tolist() == ["10000032", "10000764", "10000898"]
    np.testing.assert_array_equal(cohort.label("No Finding"), [1, np.nan, 1])
    np.testing.assert_array_equal(cohort.label("Edema"), [0, np.nan, 0])
    assert np.isnan(cohort.label("Cardiomegaly")).all()
    assert len(read_mimic_cxr(tmp_path, views=("LATERAL",))) == 1


def test_mimic_cxr_names_rows(tmp_path: Path) -> None:
    folder = miniatures.mimic_cxr(tmp_path)
    (folder / "files/p10/p10000764/s57375967/bb-1.jpg").unlink()
    with pytest.raises(CohortError, match=r"metadata\.csv\.gz, row 4"):
        read_mimic_cxr(folder)
    folder = miniatures.mimic_cxr(tmp_path / "again")
    (folder / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    with pytest.raises(CohortError, match=r"split\.csv\.gz is missing"):
        read_mimic_cxr(folder)


@NO_PATIENTS
def test_vindr_takes_the_majority_and_drops_rare_labels(tmp_path: Path) -> None:
    folder = miniatures.vindr(tmp_path)
    cohort = read_vindr(folder)
    assert cohort.label_names == ("Cardiomegaly", "Edema")
    train = cohort.splits != "test"
    assert (cohort.labels[train] == 1).all()
    np.testing.assert_array_equal(cohort.labels[~train], [[1, 0]])
    assert set(cohort.splits.tolist()) == {"train", "val", "test"}
    assert "Other diseases" in read_vindr(folder, minimum_positives=0).label_names
    edit(folder / "annotations/image_labels_train.csv", "0001,R2,1,", "0001,R2,3,")
    with pytest.raises(CohortError, match=r"row 6: Cardiomegaly is neither 0 nor 1"):
        read_vindr(folder)


@NO_PATIENTS
def test_vindr_names_the_row_of_a_missing_film(tmp_path: Path) -> None:
    folder = miniatures.vindr(tmp_path)
    (folder / "train" / "0002.dicom").unlink()
    with pytest.raises(CohortError, match=r"image_labels_train\.csv, row 8"):
        read_vindr(folder)


def test_chexchonet(tmp_path: Path) -> None:
    folder = miniatures.chexchonet(tmp_path)
    cohort = read_chexchonet(folder)
    assert {"train", "val", "test"} == set(cohort.splits.tolist())
    np.testing.assert_array_equal(cohort.label("composite_slvh_dlv")[:4], [0, 1, 0, 1])
    assert np.isnan(cohort.label("lvidd")).all()
    edit(folder / "metadata.csv", "P1,3.png,60,F,1", "P1,3.png,60,F,")
    with pytest.raises(CohortError, match=r"metadata\.csv, row 5: slvh is neither 0 nor 1"):
        read_chexchonet(folder)


def test_chestxray14(tmp_path: Path) -> None:
    folder = miniatures.chestxray14(tmp_path)
    cohort = read_chestxray14(folder)
    assert cohort.splits[2] == "test"
    assert cohort.splits[0] == cohort.splits[1]
    np.testing.assert_array_equal(cohort.label("Emphysema"), [1, 0, 0])
    np.testing.assert_array_equal(cohort.label("Hernia"), [0, 0, 1])
    edit(folder / "Data_Entry_2017_v2020.csv", "No Finding", "Nothing")
    with pytest.raises(CohortError, match="row 3: Finding Labels holds an unknown finding"):
        read_chestxray14(folder)
    edit(folder / "train_val_list.txt", "00000001_001.png\n", "")
    with pytest.raises(CohortError, match=r"v2020\.csv, row 3: the film is in neither list"):
        read_chestxray14(folder)


def test_chestxray14_refuses_lists_that_share_a_patient(tmp_path: Path) -> None:
    folder = miniatures.chestxray14(tmp_path)
    edit(folder / "train_val_list.txt", "00000001_001.png\n", "")
    edit(folder / "test_list.txt", "00000002", "00000001_001.png\n00000002")
    with pytest.raises(CohortError, match=r"v2020\.csv, rows 2 and 3: .* share a patient"):
        read_chestxray14(folder)


def test_medmod_puts_the_letter_back(tmp_path: Path) -> None:
    table, films = miniatures.medmod(tmp_path)
    cohort = read_medmod(table, films)
    assert cohort.label_names == PHENOTYPES
    assert cohort.patients.tolist() == ["10000032", "10000032", "10000764"]
    assert cohort.splits[0] == cohort.splits[1]
    assert cohort.labels.sum() == len(PHENOTYPES)
    edit(table, "p10/10000764", "10000764")
    with pytest.raises(CohortError, match=r"row 4: cxr_path is not"):
        read_medmod(table, films)


def test_medmod_without_patients_takes_them_from_paths_or_from_a_table(tmp_path: Path) -> None:
    table, films = miniatures.medmod(tmp_path)
    edit(table, "subject_id", "nobody")
    subjects = ["10000032", "10000032", "10000764"]
    assert read_medmod(table, films).patients.tolist() == subjects
    ids = tmp_path / "admissions.csv"
    ids.write_text("hadm_id,subject_id\n2000,1\n2001,1\n2002,2\n")
    assert read_medmod(table, films, patients=ids).patients.tolist() == ["1", "1", "2"]
    ids.write_text("hadm_id,subject_id\n2000,1\n2001,1\n")
    with pytest.raises(CohortError, match=r"row 4: hadm_id is not in admissions\.csv"):
        read_medmod(table, films, patients=ids)


@NO_PATIENTS
def test_tb_and_chestx6(tmp_path: Path) -> None:
    cohort = tb.read_tb(miniatures.classes(tmp_path / "tb", tb.CLASSES, films=20))
    np.testing.assert_array_equal(cohort.label("Tuberculosis"), [0] * 20 + [1] * 20)
    for split in chestx6.SPLITS:
        miniatures.classes(tmp_path / "x6" / split, chestx6.CLASSES)
    six = chestx6.read_chestx6(tmp_path / "x6")
    assert (six.labels.sum(axis=1) == 1).all()
    assert [str(six.splits[i]) for i in (0, 12, 24)] == ["train", "val", "test"]
    assert six.paths[2].parent.name == six.label_names[int(six.labels[2].argmax())]


@NO_PATIENTS
def test_class_folders_must_be_the_known_ones(tmp_path: Path) -> None:
    folder = miniatures.classes(tmp_path, (*tb.CLASSES, "Unknown"))
    with pytest.raises(CohortError, match="folders of unknown classes: Unknown"):
        tb.read_tb(folder)
    shutil.rmtree(folder / "Unknown")
    shutil.rmtree(folder / "Normal")
    with pytest.raises(CohortError, match="Normal is missing"):
        tb.read_tb(folder)
    (folder / "Normal").mkdir()
    with pytest.raises(CohortError, match="Normal holds no films"):
        tb.read_tb(folder)


@NO_PATIENTS
def test_qata(tmp_path: Path) -> None:
    folder = miniatures.qata(tmp_path)
    found = read_qata(folder)
    assert found.cohort.splits.tolist().count("test") == 2
    assert len(found.masks) == len(found.cohort) == 12
    assert found.mask(3).mean() == pytest.approx(3 / 16)
    (folder / "Train Set/Ground-truths/mask_covid_Tr4.png").unlink()
    with pytest.raises(CohortError, match=r"Ground-truths lacks the mask mask_covid_Tr4\.png"):
        read_qata(folder)


@NO_PATIENTS
def test_covid_qu_ex(tmp_path: Path) -> None:
    folder = miniatures.covid_qu_ex(tmp_path)
    lungs, infection = read_covid_qu_ex(folder), read_covid_qu_ex(folder, "infection")
    assert (lungs.mask(0).mean(), infection.mask(0).mean()) == (8 / 16, 3 / 16)
    for index, path in enumerate(lungs.cohort.paths):
        name, split = path.stem.rsplit("_", 1)
        assert lungs.cohort.splits[index] == split.lower()
        assert lungs.cohort.label_names[int(lungs.cohort.labels[index].argmax())] == name


def test_cxl_seg(tmp_path: Path) -> None:
    masks, films = miniatures.cxl_seg(tmp_path)
    found = read_cxl_seg(masks, films)
    assert found.cohort.splits.tolist() == ["train", "test"]
    assert found.cohort.patients.tolist() == ["10000032", "10000898"]
    assert found.mask(1).mean() == pytest.approx(0.25)
    edit(masks / "CXLSeg-split.csv", "cc-1", "dd-1")
    with pytest.raises(CohortError, match=r"CXLSeg-mask\.csv, row 3: the film is not in"):
        read_cxl_seg(masks, films)
    edit(masks / "CXLSeg-split.csv", "train", "practice")
    with pytest.raises(CohortError, match=r"CXLSeg-split\.csv, row 2: split is unknown"):
        read_cxl_seg(masks, films)


@NO_PATIENTS
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (miniatures.chexpert, "CheXpert"),
        (miniatures.mimic_cxr, "MIMIC-CXR-JPG"),
        (miniatures.vindr, "VinDr-CXR"),
        (miniatures.chexchonet, "CheXchoNet"),
        (miniatures.chestxray14, "NIH ChestX-ray14"),
        (miniatures.qata, "QaTa-COV19-v2"),
        (miniatures.covid_qu_ex, "COVID-QU-Ex"),
    ],
)
def test_a_folder_is_recognised(make: Callable[[Path], Path], name: str, tmp_path: Path) -> None:
    cohort, terms = read_cohort(make(tmp_path))
    assert isinstance(cohort, Cohort)
    assert terms.name == name
    assert terms.citation


def test_data_sets_on_other_films_are_recognised(tmp_path: Path) -> None:
    table, _ = miniatures.medmod(tmp_path)
    cohort, terms = read_cohort(table.parent)
    assert (terms.name, len(cohort), cohort.label_names) == ("MedMod", 3, PHENOTYPES)
    masks, films = miniatures.cxl_seg(tmp_path)
    cohort, terms = read_cohort(masks, images=films)
    assert (terms.name, len(cohort)) == ("CXLSeg", 2)
    assert all(film.is_relative_to(films) for film in cohort.paths)
    with pytest.raises(CohortError, match="image file is missing"):
        read_cohort(masks)


def test_a_table_of_patients_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "films.csv"
    manifest.write_text("path\n")
    ids = tmp_path / "admissions.csv"
    ids.write_text("hadm_id,subject_id\n2000,1\n")
    for cohort in (manifest, tmp_path):
        with pytest.raises(CohortError, match="is for MedMod and CXLSeg"):
            read_cohort(cohort, patients=ids)


def test_a_table_of_patients_reaches_medmod(tmp_path: Path) -> None:
    table, films = miniatures.medmod(tmp_path / "stays")
    rows = table.read_text().splitlines()
    table.write_text("\n".join(row.split(",", 1)[1] for row in rows))
    ids = tmp_path / "admissions.csv"
    ids.write_text("hadm_id,subject_id\n2000,1\n2001,1\n2002,2\n")
    cohort, _ = read_cohort(table.parent, images=films.parent, patients=ids)
    assert cohort.patients.tolist() == ["1", "1", "2"]


@given(st.lists(st.text(max_size=4), max_size=60))
def test_a_patient_never_moves_between_splits(patients: list[str]) -> None:
    ids = np.array(patients, dtype=np.str_)
    splits = split_by_patient(ids)
    again = split_by_patient(ids[::-1])[::-1]
    assert splits.tolist() == again.tolist()
    where = dict(zip(ids.tolist(), splits.tolist(), strict=True))
    assert [where[patient] for patient in ids.tolist()] == splits.tolist()


def test_splits_have_about_the_shares_asked_for() -> None:
    splits = split_by_patient(np.arange(20_000).astype(np.str_), val_share=0.2, test_share=0.1)
    shares = [float((splits == name).mean()) for name in ("train", "val", "test")]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.01)
    assert not (split_by_patient(np.arange(500).astype(np.str_), test_share=0) == "test").any()


Layout = Callable[[Path], Path]


def append(path: Path, line: str) -> None:
    """One more line at the end of a table."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(gzip.decompress(raw) + line.encode() + b"\n"))
    else:
        path.write_bytes(raw + line.encode() + b"\n")


@NO_PATIENTS
@pytest.mark.parametrize(
    ("layout", "table", "line", "message"),
    [
        (
            miniatures.mimic_cxr, "mimic-cxr-2.0.0-split.csv.gz", "aa-1,50414267,10000032,test",
            r"split\.csv\.gz, row 6: it says something else of its dicom_id",
        ),
        (
            miniatures.mimic_cxr, "mimic-cxr-2.0.0-chexpert.csv.gz",
            "10000898,50771383," + "0.0," * 13, r"row 4: it says something else of its study_id",
        ),
        (
            miniatures.chestxray14, "test_list.txt", "00000001_000.png",
            r"v2020\.csv, row 2: the film is in both lists",
        ),
        (
            miniatures.vindr, "annotations/image_labels_train.csv", "0001,R2,0,0,0,0",
            r"train\.csv, row 182: this film was read above already",
        ),
        (
            miniatures.vindr, "annotations/image_labels_test.csv", "0003,1,0,0,0",
            r"test\.csv, row 3: this film is in image_labels_train\.csv too",
        ),
        (
            miniatures.chexchonet, "metadata.csv", ",0.png,60,F,0,0,0,0,0,0,1,1,1",
            r"metadata\.csv, row 62: patient_id is empty",
        ),
        (miniatures.chexpert, "train.csv", "a," * 40, r"train\.csv cannot be read: see its line 5"),
    ],
)  # fmt: skip
def test_one_wrong_line_is_named_by_file_and_row(
    layout: Layout, table: str, line: str, message: str, tmp_path: Path
) -> None:
    append(layout(tmp_path) / table, line)
    with pytest.raises(CohortError, match=message):
        read_cohort(tmp_path)


def test_a_line_that_says_the_same_again_changes_nothing(tmp_path: Path) -> None:
    folder = miniatures.mimic_cxr(tmp_path)
    append(folder / "mimic-cxr-2.0.0-split.csv.gz", "aa-1,50414267,10000032,train")
    assert read_mimic_cxr(folder).splits.tolist() == ["train", "val", "test"]


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-9], lambda raw: raw[:40] + bytes(8) + raw[48:]]
)
def test_a_damaged_gz_is_named(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = miniatures.mimic_cxr(tmp_path) / "mimic-cxr-2.0.0-chexpert.csv.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CohortError, match=r"chexpert\.csv\.gz cannot be read"):
        read_mimic_cxr(tmp_path)


def test_mimic_cxr_refuses_a_patient_in_two_splits(tmp_path: Path) -> None:
    folder = miniatures.mimic_cxr(tmp_path)
    append(folder / "mimic-cxr-2.0.0-metadata.csv.gz", "dd-1,10000032,50414267,CHEST,PA")
    append(folder / "mimic-cxr-2.0.0-split.csv.gz", "dd-1,50414267,10000032,test")
    miniatures.film(folder / "files/p10/p10000032/s50414267/dd-1.jpg")
    with pytest.raises(CohortError, match=r"metadata\.csv\.gz, rows 2 and 6: .* share a patient"):
        read_mimic_cxr(folder)


def test_windows_text_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    folder = miniatures.chestxray14(tmp_path)
    for name in ("Data_Entry_2017_v2020.csv", "train_val_list.txt", "test_list.txt"):
        text = (folder / name).read_text("utf-8")
        (folder / name).write_text(text, "utf-8-sig", newline="\r\n")
    assert read_chestxray14(folder).splits[2] == "test"


def test_medmod_refuses_an_admission_of_two_patients(tmp_path: Path) -> None:
    table, films = miniatures.medmod(tmp_path)
    ids = tmp_path / "admissions.csv"
    ids.write_text("hadm_id,subject_id\n2000,1\n2001,1\n2002,2\n2001,2\n")
    with pytest.raises(CohortError, match=r"admissions\.csv, row 5: it says something else"):
        read_medmod(table, films, patients=ids)


def test_a_film_in_two_splits_is_refused_though_nobody_says_whose_it_is(tmp_path: Path) -> None:
    miniatures.film(tmp_path / "film.png")
    (tmp_path / "films.csv").write_text("path,split\nfilm.png,train\nfilm.png,val\n")
    with pytest.raises(CohortError, match=r"share a film \(films 1 and 2\)"):
        read_cohort(tmp_path / "films.csv")
