"""How well predicted numbers agree with measured ones, under weights ``[R, N]``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Values = NDArray[np.float64]


def r_squared(truth: Values, predicted: Values) -> Callable[[Values], Values]:
    """Share of variance explained; negative where the mean would have done better."""

    def statistic(weights: Values) -> Values:
        total = weights.sum(axis=1)
        centre = weights @ truth / total
        spread = weights @ truth**2 - total * centre**2
        left = weights @ (truth - predicted) ** 2
        return np.asarray(1 - left / np.where(spread > 0, spread, np.nan))

    return statistic


def rank_correlation(truth: Values, predicted: Values) -> Callable[[Values], Values]:
    """Spearman's correlation; replicates keep the ranks of the whole sample."""
    x, y = rankdata(truth), rankdata(predicted)

    def statistic(weights: Values) -> Values:
        total = weights.sum(axis=1)
        means = weights @ x / total, weights @ y / total
        product = weights @ (x * y) / total - means[0] * means[1]
        spreads = [weights @ v**2 / total - m**2 for v, m in zip((x, y), means, strict=True)]
        scale = np.sqrt(np.maximum(spreads[0] * spreads[1], 0))
        return np.asarray(product / np.where(scale > 0, scale, np.nan))

    return statistic
