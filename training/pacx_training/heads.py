"""Linear heads on a frozen encoder, calibrated on predictions for patients they never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize_scalar
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
    inverse_regularisation: float
    training_positives: int
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
) -> Probe:
    """Choose the regularisation by out-of-fold log loss, then fit on all films.

    Args:
        embeddings: ``[N, D]``.
        labels: bool ``[N]``.
        patients: str ``[N]``; a patient's films share a fold.
        recipe: Folds, grid and seed.

    Raises:
        CohortError: Fewer patients with or without the finding than folds.
    """
    _check_patients(labels, patients, recipe.folds)
    grid = recipe.inverse_regularisation
    logits = [_held_out(embeddings, labels, patients, recipe, strength) for strength in grid]
    best = int(np.argmin([log_loss(labels, expit(column)) for column in logits]))
    weight, bias = fit_logistic(embeddings, labels, grid[best])
    return Probe(weight=weight, bias=bias, strength=grid[best], held_out=logits[best])


def _check_patients(labels: NDArray[np.bool_], patients: NDArray[np.str_], folds: int) -> None:
    for kind in (labels, ~labels):
        if len(np.unique(patients[kind])) < folds:
            raise CohortError(f"A finding needs {folds} patients with it and {folds} without it.")


def _held_out(
    embeddings: NDArray[np.float32],
    labels: NDArray[np.bool_],
    patients: NDArray[np.str_],
    recipe: HeadsRecipe,
    strength: float,
) -> Scores:
    folds = StratifiedGroupKFold(recipe.folds, shuffle=True, random_state=recipe.seed)
    logits = np.empty(len(labels))
    for fitted, held in folds.split(embeddings, labels, patients):
        weight, bias = fit_logistic(embeddings[fitted], labels[fitted], strength)
        logits[held] = embeddings[held] @ weight + bias
    return logits


def fit_logistic(
    embeddings: NDArray[np.float32], labels: NDArray[np.bool_], strength: float
) -> tuple[Scores, float]:
    """Fit one logistic regression on standardised embeddings.

    Args:
        embeddings: ``[N, D]``.
        labels: bool ``[N]``, of both classes.
        strength: Inverse regularisation.

    Returns:
        Weight float64 ``[D]`` and bias, with the standardisation folded in.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000))
    scaler, regression = model.fit(embeddings.astype(np.float64), labels)
    weight: Scores = regression.coef_[0] / scaler.scale_
    return weight, float(regression.intercept_[0] - scaler.mean_ @ weight)


def fit_temperature(logits: Scores, labels: NDArray[np.bool_]) -> float:
    """The temperature with the least log loss of ``sigmoid(logits / temperature)``."""
    answer = minimize_scalar(
        lambda log: log_loss(labels, expit(logits / np.exp(log))),
        bounds=_LOG_TEMPERATURES,
        method="bounded",
    )
    return float(np.exp(answer.x))


def best_threshold(probabilities: Scores, labels: NDArray[np.bool_]) -> float:
    """The probability with the greatest sensitivity + specificity (Youden's J)."""
    false_rate, true_rate, thresholds = roc_curve(labels, probabilities)
    best = 1 + int(np.argmax((true_rate - false_rate)[1:]))
    return float(thresholds[best])


def train_finding(
    cohort: Cohort, embeddings: NDArray[np.float32], target: Target, task: Task, recipe: HeadsRecipe
) -> tuple[Probe, FindingSpec, FindingReport]:
    """Fit, calibrate and measure one finding of a task.

    Args:
        cohort: Labelled films with the splits ``train`` and ``val``.
        embeddings: float32 ``[N, D]``, of all films of the cohort.
        target: The finding.
        task: What it belongs to.
        recipe: How it is trained.

    Raises:
        CohortError: It is no label of the cohort or has too few patients.
    """
    known = np.isfinite(target.values(cohort))
    train, val = (known & (cohort.splits == name) for name in ("train", "val"))
    labels, patients = target.present(cohort), cohort.patients
    probe = fit_probe(embeddings[train], labels[train], patients[train], recipe)
    logits = embeddings @ probe.weight + probe.bias
    logits[train] = probe.held_out
    within = _confounder(cohort, target.label, recipe)

    def measured(films: NDArray[np.bool_]) -> Interval | None:
        options = {"replicates": recipe.replicates, "seed": recipe.seed}
        return clustered_auroc(labels[films], logits[films], patients[films], **options)

    report = FindingReport(
        label=target.label,
        inverse_regularisation=probe.strength,
        training_positives=int(labels[train].sum()),
        held_out=measured(train),
        held_out_within=measured(train & within),
        validation=measured(val),
        validation_within=measured(val & within),
    )
    return probe, _calibrated(probe, labels[train], report, task), report


def _confounder(cohort: Cohort, label: str, recipe: HeadsRecipe) -> NDArray[np.bool_]:
    if recipe.confounded_with is None or recipe.confounded_with == label:
        return np.ones(len(cohort), dtype=np.bool_)
    return cohort.label(recipe.confounded_with) > 0


def _calibrated(
    probe: Probe, labels: NDArray[np.bool_], report: FindingReport, task: Task
) -> FindingSpec:
    temperature = fit_temperature(probe.held_out, labels)
    return FindingSpec(
        label=report.label,
        group=task.group,
        threshold=best_threshold(expit(probe.held_out / temperature), labels),
        temperature=temperature,
        calibrated=True,
        simulated=bool(task.simulated),
        training_positives=report.training_positives,
        validation_auroc=report.validation_within,
    )
