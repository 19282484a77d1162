"""How well scores separate films with a finding from films without, under any weighting.

Every function takes weights ``[R, N]`` and answers ``[R]``, so that a bootstrap is one call;
a single row of ones gives the plain metric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacx_training.intervals import weighted_auroc

Labels = NDArray[np.bool_]
Values = NDArray[np.float64]
Rate: TypeAlias = Literal["sensitivity", "specificity", "f1", "precision"]

MINIMUM_POSITIVES = 10
"""Below this number of positive (or negative) films no metric is reported."""
MINIMUM_PATIENTS = 3
"""The same of patients who have such films: resampling fewer says nothing of others."""


def too_few(labels: Labels, patients: NDArray[np.str_]) -> str | None:
    """Why no metric is reported for these films, or None where one is.

    Args:
        labels: bool ``[N]``.
        patients: str ``[N]``.
    """
    for name, chosen in (("positive", labels), ("negative", ~labels)):
        films, people = int(chosen.sum()), len(np.unique(patients[chosen]))
        if films < MINIMUM_POSITIVES:
            return f"{films} {name} films, fewer than {MINIMUM_POSITIVES}"
        if people < MINIMUM_PATIENTS:
            return f"{name} films of {people} patients, fewer than {MINIMUM_PATIENTS}"
    return None


def auroc(labels: Labels, scores: Values) -> Callable[[Values], Values]:
    """Area under the ROC curve: P(positive above negative), ties counting half."""
    return lambda weights: weighted_auroc(labels, scores, weights)


def average_precision(labels: Labels, scores: Values) -> Callable[[Values], Values]:
    """Area under the precision-recall curve as a sum over steps, without interpolation."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    sorted_labels = labels[order]

    def statistic(weights: Values) -> Values:
        sorted_weights = weights[:, order]
        hits = np.add.reduceat(sorted_weights * sorted_labels, starts, axis=1)
        shown = np.add.reduceat(sorted_weights, starts, axis=1).cumsum(axis=1)
        precision = _ratio(hits.cumsum(axis=1), shown)
        return _ratio((hits * np.nan_to_num(precision)).sum(axis=1), hits.sum(axis=1))

    return statistic


def rate(labels: Labels, decisions: Labels, name: Rate) -> Callable[[Values], Values]:
    """A rate of decisions that were made at a threshold fixed elsewhere."""

    def statistic(weights: Values) -> Values:
        hits, misses, alarms, passes = (
            weights @ (truth & decided).astype(np.float64)
            for truth in (labels, ~labels)
            for decided in (decisions, ~decisions)
        )
        parts = {
            "sensitivity": (hits, hits + misses),
            "specificity": (passes, alarms + passes),
            "f1": (2 * hits, 2 * hits + alarms + misses),
            "precision": (hits, hits + alarms),
        }
        numerator, denominator = parts[name]
        return _ratio(numerator, denominator)

    return statistic


def mean_of(statistics: Sequence[Callable[[Values], Values]]) -> Callable[[Values], Values]:
    """The mean of several statistics of the same films, as over seeds."""
    return lambda weights: np.asarray(np.mean([one(weights) for one in statistics], axis=0))


def prevalence(labels: Labels) -> float:
    """Share of positive films: what average precision is at chance."""
    return float(labels.mean())


def threshold_at_false_positive_rate(labels: Labels, scores: Values, target: float) -> float:
    """The lowest score at which at most ``target`` of the negatives are called positive."""
    negatives = np.sort(scores[~labels])[::-1]
    allowed = int(np.floor(target * len(negatives)))
    if allowed >= len(negatives):
        return float(scores.min())
    return float(np.nextafter(negatives[allowed], np.inf))


def threshold_at_sensitivity(labels: Labels, scores: Values, target: float) -> float:
    """The highest score at which at least ``target`` of the positives are called positive."""
    positives = np.sort(scores[labels])[::-1]
    return float(positives[max(0, int(np.ceil(target * len(positives))) - 1)])


def _ratio(numerator: Values, denominator: Values) -> Values:
    empty = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=empty, where=denominator > 0)
    return empty
