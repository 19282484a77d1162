"""NIH ChestX-ray14: a selection in which half of the films have pneumonia."""

from __future__ import annotations

from pathlib import Path

from pacx_evaluation.benchmarks.attributes import read_attributes
from pacx_evaluation.benchmarks.benchmark import Benchmark, Exclusion, Target
from pacx_training.cohorts.manifest import numbers, read_table
from pacx_training.cohorts.nih import ADULT_AGE_YEARS, FINDINGS, read_nih

CONFOUNDER = "Pneumonia"
CREDIT = (
    "NIH Clinical Center, ChestX-ray14 (https://nihcc.app.box.com/v/ChestXray-NIHCC); Wang X et "
    "al., ChestX-ray8: Hospital-scale chest X-ray database and benchmarks, CVPR 2017. No "
    "restriction on use; cite, link and credit."
)
CAVEATS = (
    "The labels were mined from the text of reports, and the films were selected: about half have "
    "pneumonia, half have no finding.",
    "Findings other than pneumonia occur only among the films with pneumonia. They are fitted and "
    "measured within that half, or a model would be praised for recognising the selection.",
    "The view (AP or PA) is confounded with the labels; look at the subgroups.",
)


def nih_benchmark(folder: Path) -> Benchmark:
    """Adults, 14 findings, split by patient.

    Args:
        folder: Holds ``labels.csv`` and the films.

    Raises:
        CohortError: A row or column is wrong.
    """
    table = read_table(folder / "labels.csv")
    cohort = read_nih(folder)
    adults = numbers(table, "age", "labels.csv") >= ADULT_AGE_YEARS
    return Benchmark(
        name="nih",
        title="NIH ChestX-ray14, selected films",
        cohort=cohort,
        targets=tuple(
            Target(label=finding, within=None if finding == CONFOUNDER else CONFOUNDER)
            for finding in FINDINGS
        ),
        attributes=read_attributes(table[adults]),
        exclusions=(Exclusion(reason="under 18 years of age", films=int((~adults).sum())),),
        credit=CREDIT,
        caveats=CAVEATS,
    )
