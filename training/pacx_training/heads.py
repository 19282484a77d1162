"""Findings: logistic regressions, and calibration on predictions for patients they never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_curve
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pacx.errors import CohortError
from pacx.manifest import FindingSpec, Interval
from pacx_training.cohorts.manifest import Cohort
from pacx_training.intervals import Scores, clustered_auroc
from pacx_training.recipes import RecipeSection
from pacx_training.tasks import HeadsRecipe, Target, Task

_LOG_TEMPERATURES = (-3.0, 3.0)


class FindingReport(RecipeSection):
    """How one finding fared; held-out means patient-grouped out-of-fold within ``train``."""

    label: str
    inverse_regularisation: float | None = Field(description="Null where there is a hidden layer.")
    training_positives: int
    training_films: int
    held_out: Interval | None = Field(description="AUROC over all training films.")
    held_out_within: Interval | None = Field(description="AUROC within the confounder's films.")
    validation: Interval | None = Field(description="AUROC over all validation films.")
    validation_within: Interval | None = Field(description="The same, within the confounder's.")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Probe:
    """One fitted logistic regression.

    Attributes:
        weight: float64 ``[D]``, standardisation folded in.
        bias: Of the logit.
        strength: The inverse regularisation that was chosen.
        held_out: Logits ``[N]`` for films of patients that the fit had not seen.
    """

    weight: Scores
    bias: float
    strength: float
    held_out: Scores


def fit_probe(
    embeddings: NDArray[np.float32],
    labels: NDArray[np.bool_],
    patients: NDArray[np.str_],
    recipe: HeadsRecipe,
    *,
    label: str = "A finding",
    balanced: bool = False,
) -> Probe:
    """Choose the regularisation by out-of-fold log loss, then fit on all films.

    Args:
        embeddings: ``[N, D]``.
        labels: bool ``[N]``.
        patients: str ``[N]``; a patient's films share a fold.
        recipe: Folds, grid and seed.
        label: Of the finding, for errors.
        balanced: See :func:`fit_logistic`.

    Raises:
        CohortError: Fewer patients with or without the finding than folds.
    """
    _check_patients(label, labels, patients, recipe.folds)
    grid = recipe.inverse_regularisation

    def held_out(strength: float) -> Scores:
        folds = StratifiedGroupKFold(recipe.folds, shuffle=True, random_state=recipe.seed)
        logits = np.empty(len(labels))
        for fitted, held in folds.split(embeddings, labels, patients):
            seen = embeddings[fitted], labels[fitted]
            weight, bias = fit_logistic(*seen, strength, balanced=balanced)
            logits[held] = embeddings[held] @ weight + bias
        return logits

    logits = [held_out(strength) for strength in grid]
    best = int(np.argmin([log_loss(labels, expit(column)) for column in logits]))
    weight, bias = fit_logistic(embeddings, labels, grid[best], balanced=balanced)
    return Probe(weight=weight, bias=bias, strength=grid[best], held_out=logits[best])


def _check_patients(
    label: str, labels: NDArray[np.bool_], patients: NDArray[np.str_], folds: int
) -> None:
    present, absent = (len(np.unique(patients[kind])) for kind in (labels, ~labels))
    if min(present, absent) < folds:
        raise CohortError(
            f"{label} needs {folds} patients with it and {folds} without it to be trained on; "
            f"there are {present} and {absent}."
        )


def fit_logistic(
    embeddings: NDArray[np.float32],
    labels: NDArray[np.bool_],
    strength: float,
    *,
    balanced: bool = False,
) -> tuple[Scores, float]:
    """Fit one logistic regression on standardised embeddings.

    Args:
        embeddings: ``[N, D]``.
        labels: bool ``[N]``, of both classes.
        strength: Inverse regularisation.
        balanced: Let both classes weigh the same; the bias is then set back to the share of
            positives that the data has (King & Zeng 2001), so that probabilities stay right.

    Returns:
        Weight float64 ``[D]`` and bias, with the standardisation folded in.
    """
    weights = "balanced" if balanced else None
    regression = LogisticRegression(C=strength, max_iter=5000, class_weight=weights)
    scaler, fitted = make_pipeline(StandardScaler(), regression).fit(
        embeddings.astype(np.float64), labels
    )
    weight: Scores = fitted.coef_[0] / scaler.scale_
    share = labels.mean()
    prior = np.log(share / (1 - share)) if balanced else 0.0
    return weight, float(fitted.intercept_[0] + prior - scaler.mean_ @ weight)


def fit_temperature(logits: Scores, labels: NDArray[np.bool_]) -> float:
    """The temperature with the least log loss of ``sigmoid(logits / temperature)``."""
    answer = minimize_scalar(
        lambda log: log_loss(labels, expit(logits / np.exp(log))),
        bounds=_LOG_TEMPERATURES,
        method="bounded",
    )
    return float(np.exp(answer.x))


def fit_scaling(logits: Scores, labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Temperature and intercept with the least log loss (Platt 1999, without smoothing).

    Of ``sigmoid(logits / temperature + intercept)``; its mean is then the share of positives.

    Args:
        logits: float64 ``[N]``.
        labels: bool ``[N]``, of both classes.
    """

    def loss(at: Scores) -> tuple[float, Scores]:
        log_odds = at[0] * logits + at[1]
        excess = expit(log_odds) - labels
        value = np.mean(np.logaddexp(0, log_odds) - labels * log_odds)
        return float(value), np.array([np.mean(excess * logits), np.mean(excess)])

    slopes = np.exp(_LOG_TEMPERATURES)
    answer = minimize(loss, [1.0, 0.0], jac=True, bounds=[slopes, (None, None)], tol=1e-12)
    return float(1 / answer.x[0]), float(answer.x[1])


def best_threshold(probabilities: Scores, labels: NDArray[np.bool_]) -> float:
    """The probability with the greatest sensitivity + specificity (Youden's J)."""
    false_rate, true_rate, thresholds = roc_curve(labels, probabilities)
    best = 1 + int(np.argmax((true_rate - false_rate)[1:]))
    return float(thresholds[best])


def measure_finding(
    cohort: Cohort,
    logits: Scores,
    target: Target,
    task: Task,
    recipe: HeadsRecipe,
    strength: float | None = None,
) -> tuple[FindingSpec, FindingReport]:
    """Calibrate and measure one finding of a task.

    Args:
        cohort: Labelled films with the splits ``train`` and ``val``.
        logits: float64 ``[N]``, those of ``train`` for patients that the fit had not seen.
        target: The finding.
        task: What it belongs to.
        recipe: How it is trained.
        strength: The inverse regularisation that was chosen.

    Raises:
        CohortError: ``train`` lacks films with the finding, or without.
    """
    learnt, patients = target.learnt(cohort), cohort.patients
    labels, known = learnt > 0, np.isfinite(learnt)
    train, val = (known & (cohort.splits == name) for name in ("train", "val"))
    _check_patients(target.label, labels[train], patients[train], 1)
    within = _confounder(cohort, target.label, recipe)

    def measured(films: NDArray[np.bool_]) -> Interval | None:
        options = {"replicates": recipe.replicates, "seed": recipe.seed}
        return clustered_auroc(labels[films], logits[films], patients[films], **options)

    report = FindingReport(
        label=target.label,
        inverse_regularisation=strength,
        training_positives=int(labels[train].sum()),
        training_films=int(train.sum()),
        held_out=measured(train),
        held_out_within=measured(train & within),
        validation=measured(val),
        validation_within=measured(val & within),
    )
    return _calibrated(logits[train], labels[train], report, task), report


def _confounder(cohort: Cohort, label: str, recipe: HeadsRecipe) -> NDArray[np.bool_]:
    if recipe.confounded_with is None or recipe.confounded_with == label:
        return np.ones(len(cohort), dtype=np.bool_)
    return cohort.label(recipe.confounded_with) > 0


def _calibrated(
    held_out: Scores, labels: NDArray[np.bool_], report: FindingReport, task: Task
) -> FindingSpec:
    temperature = fit_temperature(held_out, labels)
    return FindingSpec(
        label=report.label,
        group=task.group,
        threshold=best_threshold(expit(held_out / temperature), labels),
        temperature=temperature,
        calibrated=True,
        simulated=bool(task.simulated),
        training_positives=report.training_positives,
        training_films=report.training_films,
        validation_auroc=report.validation_within,
    )
