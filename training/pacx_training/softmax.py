"""Classes that exclude each other: multinomial regression, one temperature, class by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pacx.errors import CohortError
from pacx.manifest import FindingSpec
from pacx_training.cohorts.manifest import Cohort
from pacx_training.fits import Fit, Layers
from pacx_training.heads import FindingReport, measure_finding
from pacx_training.intervals import Scores
from pacx_training.tasks import HeadsRecipe, Task

CLASS_THRESHOLD = 0.5
"""A class is positive where it is likelier than all others together, so that one is at most."""
_LOG_TEMPERATURES = (-3.0, 3.0)

Classes = NDArray[np.int64]


def classes_of(cohort: Cohort, task: Task) -> Classes:
    """The class of every film, int64 ``[N]``; -1 where unknown.

    Raises:
        CohortError: A film has no class or several, or a class has no film.
    """
    columns = np.stack([target.learnt(cohort) for target in task.targets], axis=1)
    known = np.isfinite(columns).all(axis=1)
    if (columns[known].sum(axis=1) != 1).any():
        raise CohortError(f"The classes of {task.name} exclude each other; some film has not one.")
    classes = np.where(known, columns.argmax(axis=1), -1)
    present = set(classes[cohort.splits == "train"].tolist())
    for index, target in enumerate(task.targets):
        if index not in present:
            raise CohortError(f"No training film is of the class {target.label}.")
    return classes


def fit_softmax(
    cohort: Cohort, embeddings: NDArray[np.float32], task: Task, recipe: HeadsRecipe
) -> Fit:
    """Choose the regularisation by out-of-fold log loss, then fit on all films of ``train``.

    Raises:
        CohortError: As :func:`classes_of`, or a class has fewer patients than folds.
    """
    classes, balanced = classes_of(cohort, task), task.class_weights is not None
    train = (cohort.splits == "train") & (classes >= 0)
    seen, labels, patients = embeddings[train], classes[train], cohort.patients[train]
    if any(len(np.unique(patients[labels == c])) < recipe.folds for c in np.unique(labels)):
        raise CohortError(f"Every class needs {recipe.folds} patients.")

    def held_out(strength: float) -> Scores:
        folds = StratifiedGroupKFold(recipe.folds, shuffle=True, random_state=recipe.seed)
        logits = np.empty((len(labels), len(task.targets)))
        for fitted, held in folds.split(seen, labels, patients):
            layers = _multinomial(seen[fitted], labels[fitted], strength, balanced=balanced)
            logits[held] = seen[held] @ layers.weight.T + layers.bias
        return logits

    grid = recipe.inverse_regularisation
    candidates = [held_out(strength) for strength in grid]
    best = int(np.argmin([log_loss(logits, labels) for logits in candidates]))
    layers = _multinomial(seen, labels, grid[best], balanced=balanced)
    logits = embeddings @ layers.weight.T + layers.bias
    logits[train] = candidates[best]
    return Fit(layers=layers, logits=logits, strengths=(grid[best],) * len(task.targets))


def _multinomial(
    embeddings: NDArray[np.float32], classes: Classes, strength: float, *, balanced: bool
) -> Layers:
    weights = "balanced" if balanced else None
    regression = LogisticRegression(C=strength, max_iter=5000, class_weight=weights)
    scaler, fitted = make_pipeline(StandardScaler(), regression).fit(
        embeddings.astype(np.float64), classes
    )
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:
        # scikit-learn keeps one row for two classes, the log odds of the second.
        weight, bias = np.vstack([-weight / 2, weight / 2]), np.append(-bias / 2, bias / 2)
    if balanced:
        bias = bias + np.log(np.bincount(classes) / len(classes))
    weight = weight / scaler.scale_
    return Layers(weight=weight, bias=bias - weight @ scaler.mean_)


def log_loss(logits: Scores, classes: Classes) -> float:
    """Mean negative log likelihood of ``softmax(logits)``, ``[N, C]``."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(classes)), classes].mean())


def fit_class_temperature(logits: Scores, classes: Classes) -> float:
    """The temperature with the least log loss of ``softmax(logits / temperature)``."""
    answer = minimize_scalar(
        lambda log: log_loss(logits / np.exp(log), classes),
        bounds=_LOG_TEMPERATURES,
        method="bounded",
    )
    return float(np.exp(answer.x))


def measure_classes(
    cohort: Cohort, fit: Fit, task: Task, recipe: HeadsRecipe
) -> tuple[tuple[FindingSpec, ...], list[FindingReport]]:
    """Calibrate all classes together, and measure each against the others."""
    classes = classes_of(cohort, task)
    train = (cohort.splits == "train") & (classes >= 0)
    temperature = fit_class_temperature(fit.logits[train], classes[train])
    log_likelihood = log_softmax(fit.logits / temperature, axis=1)
    specs, reports = [], []
    for column, target in enumerate(task.targets):
        likely = log_likelihood[:, column]
        log_odds = likely - np.log(-np.expm1(np.minimum(likely, -1e-12)))
        spec, report = measure_finding(
            cohort, log_odds, target, task, recipe, fit.strengths[column]
        )
        shared = {"temperature": temperature, "threshold": CLASS_THRESHOLD}
        specs.append(spec.model_copy(update=shared))
        reports.append(report)
    return tuple(specs), reports
