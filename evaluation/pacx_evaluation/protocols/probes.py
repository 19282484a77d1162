"""Linear probes: logistic for findings, ridge for quantities, chosen without the reported films."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from pacx_evaluation.benchmarks import Benchmark, Target
from pacx_evaluation.protocols.design import FOLDS, Round, rounds
from pacx_evaluation.statistics.discrimination import (
    threshold_at_false_positive_rate,
    too_few,
)
from pacx_evaluation.subjects.encoder import Embeddings
from pacx_training.heads import (
    best_threshold,
    fit_logistic,
    fit_probe,
    fit_temperature,
)
from pacx_training.regression import fit_regression
from pacx_training.tasks import HeadsRecipe

Values = NDArray[np.float64]
Labels = NDArray[np.bool_]

STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)
FEW_STRENGTH = 1e-2
"""Inverse regularisation where there are too few patients to choose one."""
PENALTIES = tuple(10.0 ** np.arange(0, 6.5, 0.5))
TARGET_FALSE_POSITIVE_RATE = 0.20

P = ParamSpec("P")
R = TypeVar("R")


def _one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Probes are small: threads of BLAS wait for each other longer than they work."""

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """One fitted probe of a finding.

    Attributes:
        weight: float64 ``[D]``.
        bias: Of the logit.
        temperature: With the least log loss on films that the weights had not seen.
        threshold: On the probability, with the greatest sensitivity + specificity there.
        global_threshold: On the probability, with a false-positive rate of 0.20 there.
    """

    weight: Values
    bias: float
    temperature: float
    threshold: float
    global_threshold: float

    def logits(self, embeddings: Embeddings) -> Values:
        """Uncalibrated, ``[N]``."""
        return np.asarray(embeddings.astype(np.float64) @ self.weight + self.bias)

    def probabilities(self, embeddings: Embeddings) -> Values:
        """After temperature scaling, ``[N]``."""
        return np.asarray(expit(self.logits(embeddings) / self.temperature))


class Scored(Protocol):
    """What is known of the M reported films of one finding, however they were scored."""

    @property
    def target(self) -> Target:
        """The finding."""
        ...

    @property
    def rows(self) -> NDArray[np.int64]:
        """Places in the cohort ``[M]``."""
        ...

    @property
    def labels(self) -> Labels:
        """Truth ``[M]``."""
        ...

    @property
    def patients(self) -> NDArray[np.str_]:
        """One name per patient ``[M]``."""
        ...

    @property
    def reason(self) -> str | None:
        """Why nothing is reported."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FindingScores:
    """What probes say about one finding on the reported films; arrays ``[M]``.

    Attributes:
        target: The finding.
        rows: Places in the cohort.
        labels: Truth.
        patients: One name per patient.
        logits: Uncalibrated.
        probabilities: After temperature scaling.
        decisions: At each probe's threshold.
        alarms: At each probe's global threshold.
        fits: The probes, and which of ``rows`` each of them predicted.
        reason: Why nothing is reported; then the other arrays may be empty.
    """

    target: Target
    rows: NDArray[np.int64]
    labels: Labels
    patients: NDArray[np.str_]
    logits: Values
    probabilities: Values
    decisions: Labels
    alarms: Labels
    fits: tuple[tuple[Decision, NDArray[np.int64]], ...]
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantityScores:
    """Predictions of one quantity on the reported films; arrays ``[M]``."""

    target: Target
    rows: NDArray[np.int64]
    truth: Values
    predicted: Values
    patients: NDArray[np.str_]
    reason: str | None


@_one_thread
def score_finding(
    benchmark: Benchmark, embeddings: Embeddings, target: Target, seed: int
) -> FindingScores:
    """Fit and apply the probes of one finding.

    Args:
        benchmark: Films and labels.
        embeddings: float32 ``[N, D]`` of all films.
        target: One of ``benchmark.findings``.
        seed: Of the folds.
    """
    values, usable = benchmark.values(target), benchmark.usable(target)
    labels = values > 0
    plan = rounds(benchmark, usable, labels, seed)
    rows = np.concatenate([r.report for r in plan])
    few = too_few(labels[rows], benchmark.cohort.patients[rows])
    reason = few or _unfit(benchmark, labels, plan)
    if reason is not None:
        return _assemble(benchmark, embeddings, target, labels, [], rows, reason)
    fits = [(fit_round(benchmark, embeddings, labels, r, seed), r.report) for r in plan]
    return _assemble(benchmark, embeddings, target, labels, fits, rows, None)


@_one_thread
def fit_round(
    benchmark: Benchmark, embeddings: Embeddings, labels: Labels, r: Round, seed: int
) -> Decision:
    """Fit one probe and everything that is chosen with it."""
    if r.choose is not None and 0 < labels[r.choose].sum() < len(r.choose):
        weight, bias, held_out = _chosen_on(embeddings, labels, r.fit, r.choose)
        seen = labels[r.choose]
    else:
        patients, seen = benchmark.cohort.patients[r.fit], labels[r.fit]
        recipe = HeadsRecipe(
            findings=("finding",),
            inverse_regularisation=STRENGTHS,
            folds=fold_count(seen, patients),
            seed=seed,
        )
        probe = fit_probe(embeddings[r.fit], seen, patients, recipe)
        weight, bias, held_out = probe.weight, probe.bias, probe.held_out
    temperature = fit_temperature(held_out, seen)
    probabilities = expit(held_out / temperature)
    return Decision(
        weight=weight,
        bias=bias,
        temperature=temperature,
        threshold=best_threshold(probabilities, seen),
        global_threshold=threshold_at_false_positive_rate(
            seen, probabilities, TARGET_FALSE_POSITIVE_RATE
        ),
    )


def fold_count(labels: Labels, patients: NDArray[np.str_]) -> int:
    """Folds that leave every one with patients of both kinds; 0 or 1 where that cannot be."""
    return min(FOLDS, *(len(np.unique(patients[kind])) for kind in (labels, ~labels)))


@_one_thread
def score_quantity(
    benchmark: Benchmark, embeddings: Embeddings, target: Target, seed: int
) -> QuantityScores:
    """Fit and apply ridge regressions of one quantity; arguments as ``score_finding``."""
    truth, usable = benchmark.values(target), benchmark.usable(target)
    plan = rounds(benchmark, usable, None, seed)
    rows = np.concatenate([r.report for r in plan])
    patients = benchmark.cohort.patients
    reason = None
    if len(rows) < 20 or any(len(np.unique(patients[r.fit])) < FOLDS for r in plan):
        reason = "fewer than 20 films, or than 5 patients to fit on"
    elif np.ptp(truth[rows]) == 0:
        reason = "all reported films have the same value"
    parts = [_ridge(embeddings, truth, patients, r, seed) for r in plan if reason is None]
    return QuantityScores(
        target=target,
        rows=rows,
        truth=truth[rows],
        predicted=np.concatenate(parts) if parts else np.empty(0),
        patients=patients[rows],
        reason=reason,
    )


def _ridge(
    embeddings: Embeddings, truth: Values, patients: NDArray[np.str_], r: Round, seed: int
) -> Values:
    """Predictions of the reported films; the penalty is chosen by folds of the other patients."""
    seen = np.concatenate([r.fit, r.choose]) if r.choose is not None else r.fit
    recipe = HeadsRecipe(findings=("quantity",), penalties=PENALTIES, folds=FOLDS, seed=seed)
    fitted = fit_regression(embeddings[seen], truth[seen], patients[seen], recipe)
    return np.asarray(embeddings[r.report].astype(np.float64) @ fitted.weight + fitted.bias)


def _chosen_on(
    embeddings: Embeddings, labels: Labels, fit: NDArray[np.int64], choose: NDArray[np.int64]
) -> tuple[Values, float, Values]:
    fits = [fit_logistic(embeddings[fit], labels[fit], strength) for strength in STRENGTHS]
    logits = [embeddings[choose].astype(np.float64) @ weight + bias for weight, bias in fits]
    best = int(np.argmin([log_loss(labels[choose], expit(column)) for column in logits]))
    return *fits[best], logits[best]


def _unfit(benchmark: Benchmark, labels: Labels, plan: Iterable[Round]) -> str | None:
    patients = benchmark.cohort.patients
    for r in plan:
        if fold_count(labels[r.fit], patients[r.fit]) < 2:
            return "fewer than 2 patients with or without it to fit on"
    return None


def _assemble(
    benchmark: Benchmark,
    embeddings: Embeddings,
    target: Target,
    labels: Labels,
    fits: list[tuple[Decision, NDArray[np.int64]]],
    rows: NDArray[np.int64],
    reason: str | None,
) -> FindingScores:
    logits, probabilities = [np.empty(0)], [np.empty(0)]
    decisions, alarms = [np.empty(0, np.bool_)], [np.empty(0, np.bool_)]
    for decision, report in fits:
        calibrated = decision.probabilities(embeddings[report])
        logits.append(decision.logits(embeddings[report]))
        probabilities.append(calibrated)
        decisions.append(calibrated >= decision.threshold)
        alarms.append(calibrated >= decision.global_threshold)
    return FindingScores(
        target=target,
        rows=rows,
        labels=labels[rows],
        patients=benchmark.cohort.patients[rows],
        logits=np.concatenate(logits),
        probabilities=np.concatenate(probabilities),
        decisions=np.concatenate(decisions),
        alarms=np.concatenate(alarms),
        fits=tuple(fits),
        reason=reason,
    )
