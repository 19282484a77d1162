"""Hannover: films that are really paired with laboratory values (Winther et al. 2020)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx_evaluation.benchmarks.attributes import read_attributes
from pacx_evaluation.benchmarks.benchmark import Benchmark, Exclusion, Target
from pacx_training.cohorts.manifest import Cohort, check_columns, existing, numbers, read_table

ANALYTES = ("crp", "ldh", "d-dimer", "po2")
LARGEST_OFFSET_DAYS = 2.0
TARGETS = (
    Target(label="crp", kind="quantity", logarithmic=True, unit="mg/l"),
    Target(label="ldh", kind="quantity", logarithmic=True, unit="U/l"),
    Target(label="d-dimer", kind="quantity", logarithmic=True, unit="mg/l"),
    Target(label="po2", kind="quantity", logarithmic=True, unit="mmHg"),
    Target(label="crp", cut=41.2, unit="mg/l"),
    Target(label="ldh", cut=365, unit="U/l"),
    Target(label="d-dimer", cut=2, unit="mg/l"),
    Target(label="po2", cut=60, unit="mmHg"),
)
CREDIT = (
    "Winther H B et al., COVID-19 Image Repository, Institute for Diagnostic and Interventional "
    "Radiology, Hannover Medical School, 2020, doi:10.6084/m9.figshare.12275009. CC BY 3.0."
)
CAVEATS = (
    "All patients had COVID-19; a quarter of the patients contribute most of the films. With some "
    "fifty patients the intervals are wide, and a difference inside them is no difference.",
    f"A value counts where it was taken within {LARGEST_OFFSET_DAYS:g} days of the film; values "
    "beyond an assay's range count as its end.",
    "There is one split: every patient is predicted by models that were fitted on other patients "
    "(five folds), and predictions of all folds are measured together.",
    "Bounds: CRP 41.2 mg/l and LDH 365 U/l after Yan et al. 2020 (Nature Machine Intelligence "
    "2:283), pO2 60 mmHg as in respiratory failure, D-dimer 2 mg/l after Zhang et al. 2020 "
    "(J Thromb Haemost 18:1324). The source does not say whether blood gases are arterial.",
)


def hannover_benchmark(folder: Path) -> Benchmark:
    """Four laboratory values as quantities and as high or low.

    Args:
        folder: Holds ``data.csv`` and ``images/<image_id>.jpg``.

    Raises:
        CohortError: A row or column is wrong.
    """
    name = "data.csv"
    table = read_table(folder / name)
    wanted = [f"{analyte}_{part}" for analyte in ANALYTES for part in ("val", "offset")]
    check_columns(table, ["patient_id", "image_id", "sex", "projection", *wanted], name)
    read = [_near(table, analyte, name) for analyte in ANALYTES]
    cohort = Cohort(
        name="hannover",
        paths=existing(folder, [f"images/{image}.jpg" for image in table["image_id"]], name),
        patients=table["patient_id"].to_numpy(dtype=np.str_),
        splits=np.full(len(table), "train"),
        label_names=ANALYTES,
        labels=np.stack([values for values, _ in read], axis=1),
        weights=np.ones(len(table)),
    )
    return Benchmark(
        name="hannover",
        title="Hannover films with laboratory values",
        cohort=cohort,
        targets=TARGETS,
        attributes=read_attributes(table.rename(columns={"projection": "view"})),
        exclusions=tuple(exclusion for _, found in read for exclusion in found),
        credit=CREDIT,
        caveats=CAVEATS,
    )


def _near(
    table: pd.DataFrame, analyte: str, name: str
) -> tuple[NDArray[np.float32], tuple[Exclusion, ...]]:
    """Values that were taken near the film, NaN elsewhere, and how many films have none."""
    values = numbers(table, f"{analyte}_val", name, infinite=True)
    near = np.abs(numbers(table, f"{analyte}_offset", name)) <= LARGEST_OFFSET_DAYS
    never, far = np.isnan(values), ~np.isnan(values) & ~near
    reasons = {
        f"{analyte}: not measured": never,
        f"{analyte}: measured more than {LARGEST_OFFSET_DAYS:g} days from the film": far,
    }
    exclusions = [Exclusion(reason=why, films=int(out.sum())) for why, out in reasons.items()]
    return np.where(near, values, np.nan).astype(np.float32), tuple(exclusions)
