"""The published data sets that a folder can be recognised as, with their terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pacx_training.cohorts.chestx6 import read_chestx6
from pacx_training.cohorts.chestxray14 import TABLES, read_chestxray14
from pacx_training.cohorts.chexchonet import read_chexchonet
from pacx_training.cohorts.chexpert import read_chexpert
from pacx_training.cohorts.covid_qu_ex import read_covid_qu_ex
from pacx_training.cohorts.cxl_seg import MASKS, read_cxl_seg
from pacx_training.cohorts.manifest import Cohort
from pacx_training.cohorts.medmod import TABLE, read_medmod
from pacx_training.cohorts.mimic_cxr import read_mimic_cxr
from pacx_training.cohorts.qata_cov19 import read_qata
from pacx_training.cohorts.tb import read_tb
from pacx_training.cohorts.vindr_cxr import read_vindr

_PHYSIONET = "PhysioNet Credentialed Health Data License 1.5.0"
_AS_STATED = "as its publisher states"


@dataclass(frozen=True, slots=True)
class Published:
    """One data set.

    Attributes:
        name: Of the data set.
        markers: Files or folders of which any tells that it lies there.
        read: Its reader.
        licence: In short.
        citation: Of the paper that describes it.
    """

    name: str
    markers: tuple[str, ...]
    read: Callable[[Path], Cohort]
    licence: str
    citation: str


PUBLISHED = (
    Published(
        "CheXpert",
        ("valid.csv",),
        read_chexpert,
        "Stanford University Dataset Research Use Agreement",
        "Irvin J et al. CheXpert. AAAI 2019.",
    ),
    Published(
        "MIMIC-CXR-JPG",
        ("mimic-cxr-2.0.0-metadata.csv", "mimic-cxr-2.0.0-metadata.csv.gz"),
        read_mimic_cxr,
        _PHYSIONET,
        "Johnson A et al. MIMIC-CXR-JPG. PhysioNet. https://doi.org/10.13026/jsn5-t979",
    ),
    Published(
        "VinDr-CXR",
        ("annotations/image_labels_train.csv",),
        read_vindr,
        _PHYSIONET,
        "Nguyen HQ et al. VinDr-CXR. Scientific Data 2022.",
    ),
    Published(
        "CheXchoNet",
        ("metadata.csv",),
        read_chexchonet,
        _PHYSIONET,
        "Bhave S et al. CheXchoNet. European Heart Journal 2024. https://doi.org/10.13026/kp08-ws25",
    ),
    Published(
        "NIH ChestX-ray14",
        TABLES,
        read_chestxray14,
        "NIH Clinical Center: no restriction on use; cite, link and credit",
        "Wang X et al. ChestX-ray8. CVPR 2017. https://nihcc.app.box.com/v/ChestXray-NIHCC",
    ),
    Published(
        "TB Chest Radiography Database",
        ("Tuberculosis",),
        read_tb,
        _AS_STATED,
        "Rahman T et al. Reliable tuberculosis detection using chest X-ray. IEEE Access 2020.",
    ),
    Published(
        "ChestX6", ("train/Covid-19",), read_chestx6, _AS_STATED, "Chest X-ray, six classes."
    ),
    Published(
        "QaTa-COV19-v2",
        ("Train Set/Ground-truths",),
        lambda folder: read_qata(folder).cohort,
        _AS_STATED,
        "Degerli A et al. OSegNet. ICIP 2022.",
    ),
    Published(
        "COVID-QU-Ex",
        ("Lung Segmentation Data",),
        lambda folder: read_covid_qu_ex(folder).cohort,
        _AS_STATED,
        "Tahir AM et al. Computers in Biology and Medicine 2021.",
    ),
)


@dataclass(frozen=True, slots=True)
class Linked:
    """One data set whose films are those of MIMIC-CXR-JPG.

    Attributes:
        name: Of the data set.
        marker: File that tells that it lies there.
        read: Its reader: its folder, MIMIC-CXR-JPG's folder, a table of admissions and patients.
        licence: In short.
        citation: Of the paper that describes it.
    """

    name: str
    marker: str
    read: Callable[[Path, Path, Path | None], Cohort]
    licence: str
    citation: str


LINKED = (
    Linked(
        "MedMod",
        TABLE,
        lambda folder, films, patients: read_medmod(
            folder / TABLE, films / "files", patients=patients
        ),
        _PHYSIONET,
        "Elsharief S et al. MedMod. CHIL 2025.",
    ),
    Linked(
        "CXLSeg",
        MASKS,
        lambda folder, films, _: read_cxl_seg(folder, films).cohort,
        _PHYSIONET,
        "Nimalsiri W et al. CXLSeg. PhysioNet.",
    ),
)


def linked(folder: Path) -> Linked | None:
    """The data set on MIMIC-CXR-JPG's films that lies in a folder, or None."""
    return next((known for known in LINKED if (folder / known.marker).exists()), None)


def recognised(folder: Path) -> Published | None:
    """The data set that lies in a folder, or None where it is none of these."""
    for published in PUBLISHED:
        if any((folder / marker).exists() for marker in published.markers):
            return published
    return None
