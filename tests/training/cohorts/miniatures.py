"""Miniatures of published data sets: the same folders, file names and columns, tiny films."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pacx_training.cohorts.medmod import PHENOTYPES
from pacx_training.cohorts.nih import FINDINGS
from pacx_training.cohorts.reported_findings import REPORTED_FINDINGS

Row = Sequence[object]


def film(path: Path, *, white_rows: int = 0) -> None:
    """Write a film of 16 pixels; its upper rows are white, as a mask's would be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:white_rows] = 255
    Image.fromarray(pixels).save(path)


def table(path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    """Write a CSV, gzipped where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def chexpert(folder: Path) -> Path:
    """Two patients in train, one of them with a lateral view; one in valid."""
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *REPORTED_FINDINGS]
    empty: list[object] = [""] * len(REPORTED_FINDINGS)
    edema = REPORTED_FINDINGS.index("Edema")
    rows: dict[str, list[Row]] = {"train": [], "valid": []}
    for split, patient, view, value in (
        ("train", "patient00001", "view1_frontal.jpg", "1.0"),
        ("train", "patient00001", "view2_lateral.jpg", "1.0"),
        ("train", "patient00002", "view1_frontal.jpg", "-1.0"),
        ("valid", "patient64541", "view1_frontal.jpg", "0.0"),
    ):
        below = f"{split}/{patient}/study1/{view}"
        film(folder / below)
        side = "Lateral" if "lateral" in view else "Frontal"
        labels = [*empty[:edema], value, *empty[edema + 1 :]]
        rows[split].append([f"CheXpert-v1.0-small/{below}", "Female", 68, side, "AP", *labels])
    table(folder / "train.csv", header, rows["train"])
    table(folder / "valid.csv", header, rows["valid"])
    return folder


def mimic_cxr(folder: Path) -> Path:
    """Three frontal films of three patients in three splits, and a lateral one."""
    ids = ["dicom_id", "subject_id", "study_id"]
    films = [
        ("aa-1", "10000032", "50414267", "PA", "train"),
        ("aa-2", "10000032", "50414267", "LATERAL", "train"),
        ("bb-1", "10000764", "57375967", "AP", "validate"),
        ("cc-1", "10000898", "50771383", "PA", "test"),
    ]
    for dicom, subject, study, _, _ in films:
        film(folder / "files" / "p10" / f"p{subject}" / f"s{study}" / f"{dicom}.jpg")
    table(
        folder / "mimic-cxr-2.0.0-metadata.csv.gz",
        [*ids, "PerformedProcedureStepDescription", "ViewPosition"],
        [(dicom, subject, study, "CHEST", view) for dicom, subject, study, view, _ in films],
    )
    table(
        folder / "mimic-cxr-2.0.0-split.csv.gz",
        ["dicom_id", "study_id", "subject_id", "split"],
        [(dicom, study, subject, split) for dicom, subject, study, _, split in reversed(films)],
    )
    labels = ["1.0", "", "-1.0", *[""] * 11]
    table(
        folder / "mimic-cxr-2.0.0-chexpert.csv.gz",
        ["subject_id", "study_id", *REPORTED_FINDINGS],
        [("10000898", "50771383", *labels), ("10000032", "50414267", *labels)],
    )
    return folder


def vindr(folder: Path, films: int = 60) -> Path:
    """Three readers; all agree on *Cardiomegaly*, one sees a *Nodule/Mass*, two an *Edema*."""
    labels = ["Cardiomegaly", "Nodule/Mass", "Edema", "Other diseases"]
    rows: list[Row] = []
    for image in (f"{number:04x}" for number in range(films)):
        film(folder / "train" / f"{image}.png")
        (folder / "train" / f"{image}.png").rename(folder / "train" / f"{image}.dicom")
        rows += [(image, "R1", 1, 1, 1, 0), (image, "R2", 1, 0, 1, 0), (image, "R3", 1, 0, 0, 0)]
    table(folder / "annotations/image_labels_train.csv", ["image_id", "rad_id", *labels], rows)
    film(folder / "test" / "ffff.png")
    (folder / "test" / "ffff.png").rename(folder / "test" / "ffff.dicom")
    table(
        folder / "annotations/image_labels_test.csv",
        ["image_id", *labels[:3], "Other disease"],
        [("ffff", 1, 0, 0, 1)],
    )
    return folder


def chexchonet(folder: Path, patients: int = 30) -> Path:
    """Two films of every patient."""
    header = [
        "patient_id", "cxr_filename", "age", "sex", "slvh", "dlv", "composite_slvh_dlv",
        "heart_transplant", "lung_transplant", "pacemaker_or_icd", "ivsd", "lvidd", "lvpwd",
    ]  # fmt: skip
    rows: list[Row] = []
    for number in range(2 * patients):
        film(folder / "images" / f"{number}.png")
        slvh = number % 2
        row = (f"P{number // 2}", f"{number}.png", 60, "F", slvh, 0, slvh, 0, 0, 0, 1.1, "", 0.9)
        rows.append(row)
    table(folder / "metadata.csv", header, rows)
    return folder


def chestxray14(folder: Path) -> Path:
    """Two parts of the images; one patient has two films, another is in the test list."""
    rows = [
        ("00000001_000.png", "Cardiomegaly|Emphysema", 0, 1),
        ("00000001_001.png", "No Finding", 1, 1),
        ("00000002_000.png", FINDINGS[-1], 0, 2),
    ]
    for part, (image, *_) in enumerate(rows, start=1):
        film(folder / f"images_{min(part, 2):03d}" / "images" / image)
    header = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID"]
    table(folder / "Data_Entry_2017_v2020.csv", header, rows)
    (folder / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (folder / "test_list.txt").write_text("00000002_000.png\n")
    return folder


def medmod(folder: Path) -> tuple[Path, Path]:
    """The linked table, in which paths lack a letter, and the films of MIMIC-CXR-JPG."""
    films = folder / "files"
    rows: list[Row] = []
    for number, subject in enumerate(("10000032", "10000032", "10000764")):
        film(films / "p10" / f"p{subject}" / f"s{number}" / f"f{number}.jpg")
        labels = [int(column % 3 == number) for column in range(len(PHENOTYPES))]
        rows.append((subject, 2000 + number, f"p10/{subject}/s{number}/f{number}.jpg", *labels))
    header = ["subject_id", "hadm_id", "cxr_path", *PHENOTYPES]
    table(folder / "medmod_final.csv", header, rows)
    return folder / "medmod_final.csv", films


def classes(folder: Path, names: Sequence[str], films: int = 2) -> Path:
    """A folder for each class."""
    for name in names:
        for number in range(films):
            film(folder / name / f"{name}-{number + 1}.png")
    return folder


def qata(folder: Path) -> Path:
    """Ten films in the training set, two in the test set, masks beside them."""
    for part, count in (("Train Set", 10), ("Test Set", 2)):
        for number in range(count):
            name = f"covid_{part[:2]}{number}.png"
            film(folder / part / "Images" / name)
            film(folder / part / "Ground-truths" / f"mask_{name}", white_rows=number)
    return folder


def covid_qu_ex(folder: Path) -> Path:
    """One film for each split and class in both experiments, nested as the archive is."""
    for experiment in ("Lung", "Infection"):
        root = folder / f"{experiment} Segmentation Data" / f"{experiment} Segmentation Data"
        for split in ("Train", "Val", "Test"):
            for name in ("COVID-19", "Non-COVID", "Normal"):
                film(root / split / name / "images" / f"{name}_{split}.png")
                for structure, rows in (("lung", 8), ("infection", 3)):
                    if structure == "lung" or experiment == "Infection":
                        masks = root / split / name / f"{structure} masks"
                        film(masks / f"{name}_{split}.png", white_rows=rows)
    return folder


def cxl_seg(folder: Path) -> tuple[Path, Path]:
    """Masks of two films of MIMIC-CXR-JPG."""
    films, masks = folder / "mimic", folder / "cxlseg"
    rows: dict[str, list[Row]] = {"mask": [], "segmented": [], "split": []}
    for dicom, subject, study, split in (
        ("aa-1", "10000032", "50414267", "train"),
        ("cc-1", "10000898", "50771383", "test"),
    ):
        film(films / "files" / "p10" / f"p{subject}" / f"s{study}" / f"{dicom}.jpg")
        below = f"files/p10/p{subject}/s{study}"
        film(masks / below / f"{dicom}-mask.jpg", white_rows=4)
        rows["mask"].append((dicom, subject, study, f"{below}/{dicom}-mask.jpg"))
        rows["segmented"].append((dicom, subject, study, f"{below}/{dicom}.jpg"))
        rows["split"].append((dicom, subject, study, split))
    for name, last in (("mask", "DicomPath"), ("segmented", "DicomPath"), ("split", "split")):
        header = ["dicom_id", "subject_id", "study_id", last]
        table(masks / f"CXLSeg-{name}.csv", header, rows[name])
    return masks, films
