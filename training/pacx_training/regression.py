"""Ridge regression on embeddings, judged on patients that it never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from pacx.errors import CohortError
from pacx_training.intervals import Scores
from pacx_training.tasks import HeadsRecipe


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Regression:
    """One fitted ridge regression of a standardised target.

    Attributes:
        weight: float64 ``[D]``, the standardisation of the embedding folded in.
        bias: Of the estimate.
        penalty: The one that was chosen.
        held_out: Estimates ``[N]`` for films of patients that the fit had not seen.
    """

    weight: Scores
    bias: float
    penalty: float
    held_out: Scores


def fit_regression(
    embeddings: NDArray[np.float32],
    targets: Scores,
    patients: NDArray[np.str_],
    recipe: HeadsRecipe,
) -> Regression:
    """Choose the penalty by out-of-fold squared error, then fit on all films.

    Args:
        embeddings: ``[N, D]``.
        targets: float64 ``[N]``, standardised.
        patients: str ``[N]``; a patient's films share a fold.
        recipe: Folds, grid and seed.

    Raises:
        CohortError: Fewer patients than folds.
    """
    if len(np.unique(patients)) < recipe.folds:
        raise CohortError(f"A regression needs {recipe.folds} patients with a known value.")
    estimates = np.empty((len(recipe.penalties), len(targets)))
    folds = GroupKFold(recipe.folds, shuffle=True, random_state=recipe.seed)
    for fitted, held in folds.split(embeddings, groups=patients):
        weights, biases = fit_ridge(embeddings[fitted], targets[fitted], recipe.penalties)
        estimates[:, held] = weights @ embeddings[held].T + biases[:, np.newaxis]
    best = int(np.argmin(((estimates - targets) ** 2).mean(axis=1)))
    weights, biases = fit_ridge(embeddings, targets, recipe.penalties[best : best + 1])
    return Regression(
        weight=weights[0],
        bias=float(biases[0]),
        penalty=recipe.penalties[best],
        held_out=estimates[best],
    )


def fit_ridge(
    embeddings: NDArray[np.float32], targets: Scores, penalties: tuple[float, ...]
) -> tuple[Scores, Scores]:
    """Minimise ``|y - X w - b|^2 + penalty |w|^2`` in closed form on standardised embeddings.

    Args:
        embeddings: ``[N, D]``.
        targets: float64 ``[N]``.
        penalties: P of them.

    Returns:
        Weights float64 ``[P, D]`` and biases ``[P]``, with the standardisation folded in.
    """
    raw = embeddings.astype(np.float64)
    mean, scale = raw.mean(axis=0), raw.std(axis=0)
    scale[scale == 0] = 1
    left, singular, right = np.linalg.svd((raw - mean) / scale, full_matrices=False)
    shrunk = singular / (singular**2 + np.array(penalties)[:, np.newaxis])
    weights = (shrunk * (left.T @ (targets - targets.mean()))) @ right / scale
    return weights, targets.mean() - weights @ mean
