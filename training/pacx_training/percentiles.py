"""Laboratory values as percentiles of the training split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx.errors import CohortError


@dataclass(frozen=True, slots=True, eq=False)
class Percentiles:
    """Empirical distribution of each analyte among observed values of the training split.

    Attributes:
        levels: For each analyte its sorted observed values.
        means: float32 ``[analytes]``, mean percentile of the training split, which stands in for
            values that were not measured (as Symile-MIMIC does).
    """

    levels: tuple[NDArray[np.float64], ...]
    means: NDArray[np.float32]

    @classmethod
    def fit(cls, values: NDArray[np.floating], observed: NDArray[np.bool_]) -> Percentiles:
        """Learn the distributions.

        Args:
            values: ``[n, analytes]`` of the training split; entries not observed are ignored.
            observed: bool ``[n, analytes]``.

        Raises:
            CohortError: Shapes differ, or an observed value is not finite.
        """
        _check(values, observed)
        levels = tuple(
            np.sort(values[observed[:, column], column].astype(np.float64))
            for column in range(values.shape[1])
        )
        means = [_rank(known, known).mean() if known.size else 0.5 for known in levels]
        return cls(levels, np.asarray(means, dtype=np.float32))

    def transform(
        self, values: NDArray[np.floating], observed: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Turn values ``[n, analytes]`` of any split into percentiles in [0, 1].

        Raises:
            CohortError: Shapes differ, or an observed value is not finite.
        """
        _check(values, observed)
        if values.shape[1] != len(self.levels):
            raise CohortError(f"{len(self.levels)} analytes were fitted, {values.shape[1]} given.")
        filled = np.broadcast_to(self.means, values.shape).copy()
        for column, known in enumerate(self.levels):
            seen = observed[:, column]
            if known.size:
                filled[seen, column] = _rank(known, values[seen, column].astype(np.float64))
        return filled


def _rank(known: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the training split below a value, ties counted half."""
    below = np.searchsorted(known, values, side="left")
    up_to = np.searchsorted(known, values, side="right")
    return np.asarray((below + up_to) / (2 * known.size))


def _check(values: NDArray[np.floating], observed: NDArray[np.bool_]) -> None:
    if values.ndim != 2 or values.shape != observed.shape:
        raise CohortError("Values and their mask must both have the shape [n, analytes].")
    bad = np.flatnonzero(~(np.isfinite(values) | ~observed).all(axis=1))
    if bad.size:
        raise CohortError(f"Row {bad[0]} marks a value as observed that is not a number.")
