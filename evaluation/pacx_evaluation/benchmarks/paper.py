"""The paper's benchmarks with their labels and metrics, on the cohorts that ``training`` reads.

Two of the nine, CXL-Seg and QaTa-COV19, publish masks and no labels; they are for segmentation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pacx_evaluation.benchmarks.benchmark import Benchmark, Target
from pacx_training.cohorts.chestx6 import CLASSES, read_chestx6
from pacx_training.cohorts.chestxray14 import read_chestxray14
from pacx_training.cohorts.chexchonet import read_chexchonet
from pacx_training.cohorts.covid_qu_ex import read_covid_qu_ex
from pacx_training.cohorts.manifest import Cohort
from pacx_training.cohorts.medmod import PHENOTYPES, TABLE, read_medmod
from pacx_training.cohorts.nih import FINDINGS
from pacx_training.cohorts.symile_mimic import PatientsUnknown
from pacx_training.cohorts.tb import read_tb
from pacx_training.cohorts.vindr_cxr import read_vindr

EXCLUSIVE = "The classes exclude each other; each is measured against all others."


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperBenchmark:
    """One row of the paper's table.

    Attributes:
        title: In reports.
        read: Its folder -> the cohort.
        metric: What the paper reports.
        labels: What is asked; none means every label that the reader keeps.
        credit: Source and citation.
        caveats: What a reader must know.
    """

    title: str
    read: Callable[[Path], Cohort]
    metric: Literal["auroc", "f1"]
    labels: tuple[str, ...] = ()
    credit: str
    caveats: tuple[str, ...] = ()


def _medmod(folder: Path) -> Cohort:
    return read_medmod(folder / TABLE, folder / "files")


PAPER: Mapping[str, PaperBenchmark] = {
    "medmod": PaperBenchmark(
        title="MedMod, 25 phenotypes of MIMIC-IV stays",
        read=_medmod,
        metric="auroc",
        labels=PHENOTYPES,
        credit="MIMIC-IV and MIMIC-CXR-JPG, PhysioNet Credentialed Health Data License 1.5.0.",
    ),
    "vindr-cxr": PaperBenchmark(
        title="VinDr-CXR, labels with at least 50 positive films",
        read=read_vindr,
        metric="f1",
        credit="Nguyen HQ et al., VinDr-CXR, Scientific Data 2022. PhysioNet licence.",
        caveats=("Labels are the majority of three readers.",),
    ),
    "chexchonet": PaperBenchmark(
        title="CheXchoNet, left ventricular hypertrophy or dilation",
        read=read_chexchonet,
        metric="f1",
        labels=("composite_slvh_dlv",),
        credit="Bhave S et al., CheXchoNet, European Heart Journal 2024. PhysioNet licence.",
    ),
    "tb": PaperBenchmark(
        title="Tuberculosis",
        read=read_tb,
        metric="auroc",
        credit="Rahman T et al., IEEE Access 2020.",
    ),
    "chestx6": PaperBenchmark(
        title="ChestX6, six classes",
        read=read_chestx6,
        metric="auroc",
        labels=CLASSES,
        credit="ChestX6, as its publisher states.",
        caveats=(EXCLUSIVE,),
    ),
    "nih14": PaperBenchmark(
        title="NIH ChestX-ray14, all films",
        read=read_chestxray14,
        metric="auroc",
        labels=FINDINGS,
        credit="Wang X et al., ChestX-ray8, CVPR 2017. NIH Clinical Center, no restriction on use.",
        caveats=("The labels were mined from the text of reports.",),
    ),
    "covid-qu-ex": PaperBenchmark(
        title="COVID-QU-Ex, three classes",
        read=lambda folder: read_covid_qu_ex(folder).cohort,
        metric="auroc",
        credit="Tahir AM et al., Computers in Biology and Medicine 2021.",
        caveats=(EXCLUSIVE,),
    ),
}


def paper_benchmark(name: str, folder: Path) -> Benchmark:
    """Read one of the paper's benchmarks.

    Args:
        name: A key of ``PAPER``.
        folder: Where its publisher's files lie.

    Raises:
        CohortError: A file is missing or wrong.
    """
    row = PAPER[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PatientsUnknown)
        cohort = row.read(folder)
    unknown = [str(w.message) for w in caught if issubclass(w.category, PatientsUnknown)]
    return Benchmark(
        name=name,
        title=row.title,
        cohort=cohort,
        targets=tuple(Target(label=label) for label in row.labels or cohort.label_names),
        credit=row.credit,
        caveats=(*row.caveats, *unknown),
        metric=row.metric,
    )


READERS: Mapping[str, Callable[[Path], Benchmark]] = {
    name: partial(paper_benchmark, name) for name in PAPER
}
