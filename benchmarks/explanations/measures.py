"""All that is measured of the maps of one film."""

from __future__ import annotations

from collections.abc import Iterator

from scipy.stats import spearmanr

from benchmarks.explanations.maps import METHODS, RANDOMISED, REPEATED, Case
from pacx_evaluation.faithfulness import (
    deletion_gain,
    infidelity_of,
    insertion_gain,
    sensitivity_of,
)

MEASURES = {
    "deletion": "score lost sooner than in random order",
    "insertion": "score won sooner than in random order",
    "infidelity": "error in predicting what maskings cost, 1: empty map",
    "randomised": "rank correlation with random weights' map",
    "sensitivity": "change under small noise",
    "heart": "focus on the heart, 1: chance",
    "lungs": "focus on the lungs, 1: chance",
    "outside": "focus outside the chest, 1: chance",
    "pointing": "share of films whose peak lies in heart or lungs",
}
Row = dict[str, str | float]


def measured(case: Case) -> Iterator[Row]:
    """One row per map."""
    question = case.question
    for name, grid in case.maps():
        row: Row = {"method": name}
        row["deletion"] = deletion_gain(question, grid)
        row["insertion"] = insertion_gain(question, grid)
        row["infidelity"] = infidelity_of(question, grid)
        if name in RANDOMISED:
            other = METHODS[name](case.random)
            row["randomised"] = float(spearmanr(grid.ravel(), other.ravel()).statistic)
        if name in REPEATED:
            row["sensitivity"] = sensitivity_of(question, METHODS[name])
        row.update(case.focus(grid))
        yield row
