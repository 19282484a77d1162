"""Which films are fitted, chosen on and reported: the splits, or folds of patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from pacx.errors import BenchmarkError
from pacx_evaluation.benchmarks import Benchmark

Rows = NDArray[np.int64]
FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Round:
    """One fit. All arrays are places of films in the cohort.

    Attributes:
        fit: Weights are fitted on these.
        choose: Hyper-parameters, temperatures and thresholds are; None means by folds of ``fit``.
        report: Only predicted.
    """

    fit: Rows
    choose: Rows | None
    report: Rows


def rounds(
    benchmark: Benchmark, usable: NDArray[np.bool_], strata: NDArray[np.bool_] | None, seed: int
) -> tuple[Round, ...]:
    """The fits of one question.

    With ``train``, ``val`` and ``test``: fit, choose, report. With two of them: fit and choose by
    folds on ``train``, report on the other. With one: folds of patients, each predicted by a
    model fitted on the others.

    Args:
        benchmark: The films.
        usable: bool ``[N]``, films that the question can be asked about.
        strata: bool ``[N]`` that folds keep balanced, or None for quantities.
        seed: Of the folds.
    """
    splits = benchmark.cohort.splits
    present = set(splits.tolist())
    rows = {name: np.flatnonzero(usable & (splits == name)) for name in present}
    if len(present) == 1:
        return _folds(benchmark, rows.popitem()[1], strata, seed)
    if "train" not in present:
        raise BenchmarkError(f"{benchmark.title} has a val and a test split but no train split.")
    report = rows["test"] if "test" in rows else rows["val"]
    choose = rows["val"] if len(present) == 3 else None
    return (Round(fit=rows["train"], choose=choose, report=report),)


def _folds(
    benchmark: Benchmark, rows: Rows, strata: NDArray[np.bool_] | None, seed: int
) -> tuple[Round, ...]:
    patients = benchmark.cohort.patients[rows]
    folds = min(FOLDS, len(np.unique(patients)))
    if strata is not None:  # no more folds than the larger class has films
        folds = min(folds, max(strata[rows].sum(), (~strata[rows]).sum()))
    if folds < 2:
        return (Round(fit=rows, choose=None, report=rows[:0]),)
    if strata is None:
        parts = GroupKFold(folds, shuffle=True, random_state=seed).split(rows, groups=patients)
    else:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        parts = splitter.split(rows, strata[rows], patients)
    return tuple(Round(fit=rows[a], choose=None, report=rows[b]) for a, b in parts)
