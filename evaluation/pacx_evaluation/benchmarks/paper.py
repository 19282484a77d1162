"""The paper's nine benchmarks with their labels, splits and metrics, as ``training`` reads them.

CXL-Seg and QaTa-COV19 publish masks and no labels; COVID-QU-Ex publishes both.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pacx_evaluation.benchmarks.benchmark import Benchmark, Metric, Target
from pacx_evaluation.benchmarks.masks import published_masks
from pacx_training.cohorts.chestx6 import CLASSES, read_chestx6
from pacx_training.cohorts.chestxray14 import read_chestxray14
from pacx_training.cohorts.chexchonet import read_chexchonet
from pacx_training.cohorts.covid_qu_ex import read_covid_qu_ex
from pacx_training.cohorts.cxl_seg import read_cxl_seg
from pacx_training.cohorts.manifest import Cohort
from pacx_training.cohorts.masked import MaskedCohort
from pacx_training.cohorts.medmod import PHENOTYPES, TABLE, read_medmod
from pacx_training.cohorts.nih import FINDINGS
from pacx_training.cohorts.qata_cov19 import read_qata
from pacx_training.cohorts.symile_mimic import PatientsUnknown
from pacx_training.cohorts.tb import read_tb
from pacx_training.cohorts.vindr_cxr import read_vindr

EXCLUSIVE = "The classes exclude each other; each is measured against all others."


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperBenchmark:
    """One row of the paper's table.

    Attributes:
        title: In reports.
        read: Its folder, and the one of MIMIC-CXR-JPG's films for those that need it -> the
            cohort, with masks where it has them.
        metric: What the paper reports.
        labels: What is asked; none means every label that the reader keeps.
        credit: Source and citation.
        caveats: What a reader must know.
    """

    title: str
    read: Callable[[Path, Path], Cohort | MaskedCohort]
    metric: Metric
    labels: tuple[str, ...] = ()
    credit: str
    caveats: tuple[str, ...] = ()


PAPER: Mapping[str, PaperBenchmark] = {
    "medmod": PaperBenchmark(
        title="MedMod, 25 phenotypes of MIMIC-IV stays",
        read=lambda folder, films: read_medmod(folder / TABLE, films / "files"),
        metric="auroc",
        labels=PHENOTYPES,
        credit="MIMIC-IV and MIMIC-CXR-JPG, PhysioNet Credentialed Health Data License 1.5.0.",
    ),
    "vindr-cxr": PaperBenchmark(
        title="VinDr-CXR, labels with at least 50 positive films",
        read=lambda folder, _: read_vindr(folder),
        metric="f1",
        credit="Nguyen HQ et al., VinDr-CXR, Scientific Data 2022. PhysioNet licence.",
        caveats=("Labels are the majority of three readers.",),
    ),
    "chexchonet": PaperBenchmark(
        title="CheXchoNet, left ventricular hypertrophy or dilation",
        read=lambda folder, _: read_chexchonet(folder),
        metric="f1",
        labels=("composite_slvh_dlv",),
        credit="Bhave S et al., CheXchoNet, European Heart Journal 2024. PhysioNet licence.",
    ),
    "tb": PaperBenchmark(
        title="Tuberculosis",
        read=lambda folder, _: read_tb(folder),
        metric="auroc",
        credit="Rahman T et al., IEEE Access 2020.",
    ),
    "chestx6": PaperBenchmark(
        title="ChestX6, six classes",
        read=lambda folder, _: read_chestx6(folder),
        metric="auroc",
        labels=CLASSES,
        credit="ChestX6, as its publisher states.",
        caveats=(EXCLUSIVE,),
    ),
    "nih14": PaperBenchmark(
        title="NIH ChestX-ray14, all films",
        read=lambda folder, _: read_chestxray14(folder),
        metric="auroc",
        labels=FINDINGS,
        credit="Wang X et al., ChestX-ray8, CVPR 2017. NIH Clinical Center, no restriction on use.",
        caveats=("The labels were mined from the text of reports.",),
    ),
    "covid-qu-ex": PaperBenchmark(
        title="COVID-QU-Ex, three classes and masks of the lungs",
        read=lambda folder, _: read_covid_qu_ex(folder),
        metric="iou",
        credit="Tahir AM et al., Computers in Biology and Medicine 2021.",
        caveats=(EXCLUSIVE,),
    ),
    "qata-cov19": PaperBenchmark(
        title="QaTa-COV19-v2, masks of the infection",
        read=lambda folder, _: read_qata(folder),
        metric="iou",
        credit="Degerli A et al., OSegNet, ICIP 2022.",
        caveats=("The control group that a classification needs is not part of this release.",),
    ),
    "cxl-seg": PaperBenchmark(
        title="CXL-Seg, masks of the lungs",
        read=read_cxl_seg,
        metric="iou",
        credit="Nimalsiri W et al., CXLSeg, PhysioNet, on films of MIMIC-CXR-JPG. PhysioNet "
        "Credentialed Health Data License 1.5.0.",
    ),
}


def paper_benchmark(name: str, folder: Path, films: Path | None = None) -> Benchmark:
    """Read one of the paper's benchmarks.

    Args:
        name: A key of ``PAPER``.
        folder: Where its publisher's files lie.
        films: Where MIMIC-CXR-JPG lies, for MedMod and CXL-Seg; ``folder`` itself where None.

    Raises:
        CohortError: A file is missing or wrong.
    """
    row = PAPER[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PatientsUnknown)
        read = row.read(folder, films or folder)
    unknown = [str(w.message) for w in caught if issubclass(w.category, PatientsUnknown)]
    cohort = read.cohort if isinstance(read, MaskedCohort) else read
    return Benchmark(
        name=name,
        title=row.title,
        cohort=cohort,
        targets=tuple(Target(label=label) for label in row.labels or cohort.label_names),
        credit=row.credit,
        caveats=(*row.caveats, *unknown),
        metric=row.metric,
        masks=published_masks(read) if isinstance(read, MaskedCohort) else None,
    )
