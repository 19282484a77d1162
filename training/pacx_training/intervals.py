"""Area under the ROC curve with patient-clustered bootstrap intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacx.manifest import Interval

Labels = NDArray[np.bool_]
Scores = NDArray[np.float64]


def weighted_auroc(labels: Labels, scores: Scores, weights: NDArray[np.float64]) -> Scores:
    """P(score of a positive > score of a negative), ties counting half, under many weightings.

    Args:
        labels: bool ``[N]``.
        scores: float ``[N]``, higher means more likely positive.
        weights: float ``[R, N]``, one weighting of the films per row.

    Returns:
        float64 ``[R]``; NaN where a row gives one of the classes no weight.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    positive = np.add.reduceat(weights[:, order] * labels[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~labels[order], starts, axis=1)
    below = negative.cumsum(axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    wins = (positive * below).sum(axis=1)
    areas = np.full(len(pairs), np.nan)
    np.divide(wins, pairs, out=areas, where=pairs > 0)
    return areas


def auroc(labels: Labels, scores: Scores) -> float:
    """The plain area; NaN where only one class is there."""
    return float(weighted_auroc(labels, scores, np.ones((1, len(labels))))[0])


def clustered_auroc(
    labels: Labels,
    scores: Scores,
    patients: NDArray[np.str_],
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> Interval | None:
    """AUROC with a 95 % percentile interval over resampled patients.

    Patients are drawn with replacement within two strata, those with and those without a
    positive film, so that no replicate lacks a class that the data has.

    Args:
        labels: bool ``[N]``.
        scores: float ``[N]``.
        patients: str ``[N]``; films of one patient stay together.
        replicates: Number of bootstrap samples.
        seed: Of the resampling.

    Returns:
        None where only one class is there.
    """
    if labels.all() or not labels.any():
        return None
    weights = resampled_weights(labels, patients, replicates, np.random.default_rng(seed))
    areas = weighted_auroc(labels, scores, weights)
    low, high = np.nanquantile(areas, [0.025, 0.975])
    return Interval(value=auroc(labels, scores), low=float(low), high=float(high))


def resampled_weights(
    strata: NDArray[np.generic],
    patients: NDArray[np.str_],
    replicates: int,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """How often each film counts in each bootstrap sample, patients being drawn whole.

    Args:
        strata: bool or int ``[N]``; a patient belongs to the highest stratum of its films, and
            every stratum keeps its number of patients.
        patients: str ``[N]``; films of one patient stay together.
        replicates: Number R of samples.
        random: Source of randomness.

    Returns:
        float64 ``[R, N]``.
    """
    names, film_patient = np.unique(patients, return_inverse=True)
    of_patient = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(of_patient, film_patient, strata.astype(np.int64))
    counts = np.zeros((replicates, len(names)))
    for stratum in np.unique(of_patient)[::-1]:
        members = np.flatnonzero(of_patient == stratum)
        evenly = np.full(len(members), 1 / len(members))
        counts[:, members] = random.multinomial(len(members), evenly, replicates)
    return counts[:, film_patient]
