"""Whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Labels = NDArray[np.bool_]
Values = NDArray[np.float64]

BINS = 15
_TINY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Equal-mass bins of a reliability diagram; all arrays ``[bins]``.

    Attributes:
        confidence: Mean probability in each bin.
        frequency: Share of positives in each bin.
        films: Number of films in each bin.
    """

    confidence: Values
    frequency: Values
    films: NDArray[np.int64]


def reliability(labels: Labels, probabilities: Values, bins: int = BINS) -> Reliability:
    """Sort films by probability and cut them into bins of equal numbers.

    Fewer films than bins give one bin a film.
    """
    order = np.argsort(probabilities, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return Reliability(
        confidence=np.array([probabilities[part].mean() for part in parts]),
        frequency=np.array([labels[part].mean() for part in parts]),
        films=np.array([len(part) for part in parts], dtype=np.int64),
    )


def expected_calibration_error(labels: Labels, probabilities: Values, bins: int = BINS) -> float:
    """Mean distance of confidence and frequency over equal-mass bins, weighted by films."""
    binned = reliability(labels, probabilities, bins)
    gaps = np.abs(binned.confidence - binned.frequency)
    return float(np.average(gaps, weights=binned.films))


def brier(labels: Labels, probabilities: Values) -> Callable[[Values], Values]:
    """Mean squared distance of probability and truth, under weights ``[R, N]``."""
    return mean((probabilities - labels) ** 2)


def negative_log_likelihood(labels: Labels, probabilities: Values) -> Callable[[Values], Values]:
    """Mean log loss in nats, under weights ``[R, N]``."""
    clipped = np.clip(np.where(labels, probabilities, 1 - probabilities), _TINY, 1)
    return mean(-np.log(clipped))


def mean(values: Values) -> Callable[[Values], Values]:
    """The weighted mean of one value per film ``[N]``."""
    return lambda weights: np.asarray(weights @ values / weights.sum(axis=1))


def prior_corrected(probabilities: Values, *, trained: float, local: float) -> Values:
    """Probabilities for another prevalence, likelihood ratios unchanged (Saerens et al. 2002).

    Args:
        probabilities: ``[N]``, right at the training prevalence.
        trained: Prevalence among the films that the probabilities were fitted on.
        local: Prevalence where they will be used.
    """
    clipped = np.clip(probabilities, _TINY, 1 - _TINY)
    return np.asarray(expit(logit(clipped) - logit(trained) + logit(local)))
