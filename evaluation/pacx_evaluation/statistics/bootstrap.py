"""Percentile intervals from a bootstrap that draws patients, not films."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacx.manifest import Interval
from pacx_training.intervals import resampled_weights

Values = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Values], Values]
"""Weights ``[R, N]`` of the films -> one value per weighting ``[R]``; NaN where undefined."""

CHUNK_ELEMENTS = 2**24
"""Weights that are held at once: 128 MB of float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How intervals are resampled.

    Attributes:
        replicates: Number of samples.
        seed: Of the resampling; the same seed draws the same patients for every subject.
        level: Share of the replicates inside the interval.
    """

    replicates: int = 2000
    seed: int = 0
    level: float = 0.95

    def samples(self, strata: NDArray[np.generic], patients: NDArray[np.str_]) -> Iterator[Values]:
        """Weights ``[R, N]`` of all replicates, in chunks that fit into memory."""
        random = np.random.default_rng(self.seed)
        left, size = self.replicates, max(1, CHUNK_ELEMENTS // max(1, len(patients)))
        while left > 0:
            yield resampled_weights(strata, patients, min(size, left), random)
            left -= size

    def distribution(
        self, statistic: Statistic, strata: NDArray[np.generic], patients: NDArray[np.str_]
    ) -> Values:
        """The statistic of every replicate ``[replicates]``."""
        return np.concatenate([statistic(weights) for weights in self.samples(strata, patients)])

    def interval(
        self, statistic: Statistic, strata: NDArray[np.generic], patients: NDArray[np.str_]
    ) -> Interval:
        """The statistic of the films as they are, and its percentile interval.

        Args:
            statistic: Of weighted films.
            strata: bool or int ``[N]``; resampling keeps the number of patients of each.
            patients: str ``[N]``; films of one patient stay together.
        """
        value = float(statistic(np.ones((1, len(patients))))[0])
        return self.around(value, self.distribution(statistic, strata, patients))

    def around(self, value: float, replicates: Values) -> Interval:
        """The percentile interval of replicates; those that are undefined do not count."""
        tail = (1 - self.level) / 2
        defined = replicates[np.isfinite(replicates)]
        low, high = np.quantile(defined, [tail, 1 - tail]) if len(defined) else (value, value)
        return Interval(value=value, low=float(low), high=float(high))
