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
from pacx.manifest import FindingSpec, HeadSpec, Interval
from pacx_training.cohorts.manifest import Cohort
from pacx_training.intervals import Scores, clustered_auroc
from pacx_training.recipes import RecipeSection
from pacx_training.runs import LinearHead

_LOG_TEMPERATURES = (-3.0, 3.0)


class HeadsRecipe(RecipeSection):
    """How linear heads are trained; section ``heads`` of a recipe."""

    name: str = Field("findings", description="Of the head, in the bundle.")
    findings: tuple[str, ...] = Field(min_length=1)
    read_outs: tuple[str, ...] = Field((), description="Reported as sanity checks, not kept.")
    confounded_with: str | None = Field(
        None,
        description="Other findings are validated on the positive films of this one alone, "
        "because their labels are confounded with it.",
    )
    inverse_regularisation: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
    folds: int = Field(5, ge=2, description="Patient-grouped folds within train.")
    replicates: int = Field(2000, ge=1, description="Bootstrap samples of an interval.")
    seed: int = 0


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


def train_heads(
    cohort: Cohort, embeddings: NDArray[np.float32], recipe: HeadsRecipe
) -> tuple[LinearHead, tuple[FindingReport, ...]]:
    """Train one multilabel head and measure it.

    Everything is fitted and chosen on the split ``train``; ``val`` is only reported.

    Args:
        cohort: Labelled films with the splits ``train`` and ``val``.
        embeddings: float32 ``[N, D]``, of all films of the cohort.
        recipe: What to train and how.

    Returns:
        The head, and a report per finding and read-out.

    Raises:
        CohortError: A finding is no label of the cohort or has too few patients.
    """
    trained = [_train_finding(cohort, embeddings, label, recipe) for label in recipe.findings]
    read_outs = [_train_finding(cohort, embeddings, label, recipe)[2] for label in recipe.read_outs]
    head = LinearHead(
        spec=HeadSpec(name=recipe.name, findings=tuple(spec for _, spec, _ in trained)),
        weight=np.stack([probe.weight for probe, _, _ in trained]).astype(np.float32),
        bias=np.array([probe.bias for probe, _, _ in trained], dtype=np.float32),
    )
    return head, (*(report for _, _, report in trained), *read_outs)


def _train_finding(
    cohort: Cohort, embeddings: NDArray[np.float32], label: str, recipe: HeadsRecipe
) -> tuple[Probe, FindingSpec, FindingReport]:
    known = np.isfinite(cohort.label(label))
    train, val = (known & (cohort.splits == name) for name in ("train", "val"))
    labels, patients = cohort.label(label) > 0, cohort.patients
    probe = fit_probe(embeddings[train], labels[train], patients[train], recipe)
    logits = embeddings @ probe.weight + probe.bias
    logits[train] = probe.held_out
    within = _confounder(cohort, label, recipe)

    def measured(films: NDArray[np.bool_]) -> Interval | None:
        options = {"replicates": recipe.replicates, "seed": recipe.seed}
        return clustered_auroc(labels[films], logits[films], patients[films], **options)

    report = FindingReport(
        label=label,
        inverse_regularisation=probe.strength,
        training_positives=int(labels[train].sum()),
        held_out=measured(train),
        held_out_within=measured(train & within),
        validation=measured(val),
        validation_within=measured(val & within),
    )
    return probe, _calibrated(probe, labels[train], report), report


def _confounder(cohort: Cohort, label: str, recipe: HeadsRecipe) -> NDArray[np.bool_]:
    if recipe.confounded_with is None or recipe.confounded_with == label:
        return np.ones(len(cohort), dtype=np.bool_)
    return cohort.label(recipe.confounded_with) > 0


def _calibrated(probe: Probe, labels: NDArray[np.bool_], report: FindingReport) -> FindingSpec:
    temperature = fit_temperature(probe.held_out, labels)
    return FindingSpec(
        label=report.label,
        group="radiology",
        threshold=best_threshold(expit(probe.held_out / temperature), labels),
        temperature=temperature,
        calibrated=True,
        simulated=False,
        training_positives=report.training_positives,
        validation_auroc=report.validation_within,
    )
