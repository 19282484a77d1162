"""DeLong's variance of an AUROC, and of the difference of two, films clustered by patient.

DeLong, DeLong, Clarke-Pearson 1988; clusters after Obuchowski 1997 (Biometrics 53:567), which is
DeLong's answer where every patient has one film.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Labels = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """Two AUROCs on the same films.

    Attributes:
        difference: Second minus first.
        standard_error: Of the difference.
        p: Two-sided.
    """

    difference: float
    standard_error: float
    p: float


def covariance(
    labels: Labels, scores: Values, patients: NDArray[np.str_] | None = None
) -> tuple[Values, Values]:
    """AUROCs of several scores on the same films, and their covariance.

    Args:
        labels: bool ``[N]``, both classes present.
        scores: float ``[K, N]``.
        patients: str ``[N]``; None treats every film as its own patient.

    Returns:
        Areas ``[K]`` and covariance ``[K, K]``.
    """
    above, below = _components(labels, scores)
    areas = above.mean(axis=1)
    if patients is None:
        return areas, _scatter(above) / above.shape[1] + _scatter(below) / below.shape[1]
    return areas, _clustered(labels, patients, above, below, areas)


def standard_error(
    labels: Labels, scores: Values, patients: NDArray[np.str_] | None = None
) -> float:
    """Of one AUROC; scores ``[N]``."""
    return float(np.sqrt(covariance(labels, scores[np.newaxis], patients)[1][0, 0]))


def paired_test(
    labels: Labels, first: Values, second: Values, patients: NDArray[np.str_] | None = None
) -> PairedTest:
    """Whether two scores have the same AUROC.

    Args:
        labels: bool ``[N]``, both classes present.
        first: ``[N]``, or ``[S, N]``, whose S areas are averaged, as over seeds.
        second: The same; its S may be another.
        patients: str ``[N]``; None treats every film as its own patient.
    """
    left, right = np.atleast_2d(first), np.atleast_2d(second)
    areas, spread = covariance(labels, np.concatenate([left, right]), patients)
    contrast = np.repeat([-1 / len(left), 1 / len(right)], [len(left), len(right)])
    difference = float(contrast @ areas)
    error = float(np.sqrt(max(0.0, contrast @ spread @ contrast)))
    if error < np.finfo(np.float64).eps:
        return PairedTest(difference=difference, standard_error=0.0, p=float(difference == 0))
    p = float(2 * norm.sf(abs(difference) / error))
    return PairedTest(difference=difference, standard_error=error, p=p)


def holm(p_values: Values) -> Values:
    """Holm's step-down correction for testing several hypotheses.

    Args:
        p_values: ``[K]``; NaN where no test was made, which stays NaN and does not count.
    """
    tested = np.flatnonzero(np.isfinite(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected = np.full(len(p_values), np.nan)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * p_values[order]))
    return corrected


def _components(labels: Labels, scores: Values) -> tuple[Values, Values]:
    """Structural components ``[K, positives]`` and ``[K, negatives]`` through midranks."""
    positive, negative = scores[:, labels], scores[:, ~labels]
    together = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    m, n = positive.shape[1], negative.shape[1]
    above = (together[:, :m] - rankdata(positive, axis=1)) / n
    below = 1 - (together[:, m:] - rankdata(negative, axis=1)) / m
    return above, below


def _scatter(components: Values) -> Values:
    return np.atleast_2d(np.cov(components))


def _clustered(
    labels: Labels, patients: NDArray[np.str_], above: Values, below: Values, areas: Values
) -> Values:
    _, cluster = np.unique(patients, return_inverse=True)
    clusters = int(cluster.max()) + 1
    up = _sums(above - areas[:, np.newaxis], cluster[labels], clusters)
    down = _sums(below - areas[:, np.newaxis], cluster[~labels], clusters)
    m, n = above.shape[1], below.shape[1]
    with_up, with_down = len(set(cluster[labels])), len(set(cluster[~labels]))
    up_part = with_up / max(1, with_up - 1) * (up @ up.T) / m**2
    down_part = with_down / max(1, with_down - 1) * (down @ down.T) / n**2
    mixed = clusters / max(1, clusters - 1) * (up @ down.T) / (m * n)
    return np.asarray(up_part + down_part + mixed + mixed.T)


def _sums(components: Values, cluster: NDArray[np.intp], clusters: int) -> Values:
    rows = [np.bincount(cluster, weights=row, minlength=clusters) for row in components]
    return np.stack(rows)
