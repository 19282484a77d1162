"""How well one set of vectors is predicted by another, film by film."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]
Values = NDArray[np.float64]


def ridge_predictions(
    inputs: Vectors, targets: Vectors, fitted: NDArray[np.int64], alpha: float
) -> Vectors:
    """Predict targets ``[N, K]`` from inputs ``[N, D]``, both standardised on the fitted rows.

    Returns:
        Standardised predictions ``[N, K]`` of all rows.
    """
    x = standardised(inputs, fitted)
    y = standardised(targets, fitted)
    gram = x[fitted].T @ x[fitted] + alpha * np.eye(x.shape[1])
    return np.asarray(x @ np.linalg.solve(gram, x[fitted].T @ y[fitted]))


def standardised(vectors: Vectors, fitted: NDArray[np.int64]) -> Vectors:
    """Columns with mean 0 and standard deviation 1 on the fitted rows; constant ones become 0."""
    centred = vectors - vectors[fitted].mean(axis=0)
    spread = vectors[fitted].std(axis=0)
    return np.asarray(centred / np.where(spread > 0, spread, np.inf))


def cosines(truth: Vectors, predicted: Vectors) -> Values:
    """Cosine of each pair of rows ``[N]``."""
    norms = np.linalg.norm(truth, axis=1) * np.linalg.norm(predicted, axis=1)
    return np.asarray((truth * predicted).sum(axis=1) / np.maximum(norms, np.finfo(float).tiny))


def found_among(truth: Vectors, predicted: Vectors, k: int) -> NDArray[np.bool_]:
    """Whether the true row is among the k nearest by cosine of each prediction, ``[N]``.

    Ties count against: rows that are as near as the true one come before it.
    """
    left, right = (_unit(vectors - vectors.mean(axis=0)) for vectors in (predicted, truth))
    similarity = left @ right.T
    own = np.diag(similarity)[:, np.newaxis]
    before = (similarity >= own).sum(axis=1) - 1
    return np.asarray(before < k)


def _unit(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.finfo(float).tiny))
