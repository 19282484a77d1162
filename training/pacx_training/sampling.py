"""Which films a step sees and which random numbers belong to them.

Both are pure functions of the seed and the step, so that a resumed run, or one that is spread
over more processes, sees the same films with the same augmentations and masks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The part of a global batch that one process computes at once.

    Attributes:
        start: First row.
        stop: Row after the last.
        total: Rows of the global batch.
    """

    start: int
    stop: int
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Random numbers of some rows of a global batch, the same whoever computes the rows.

    Every call answers fresh numbers; calls must come in the same order for all rows.
    """

    generator: np.random.Generator
    rows: Rows

    @classmethod
    def of_step(cls, seed: int, step: int, rows: Rows) -> Draws:
        """The random numbers of one step."""
        return cls(np.random.default_rng((seed, 1, step)), rows)

    def uniform(self, *shape: int) -> NDArray[np.float32]:
        """Uniform numbers in [0, 1), float32 ``[rows, *shape]``."""
        drawn = self.generator.random((self.rows.total, *shape), dtype=np.float32)
        return drawn[self.rows.start : self.rows.stop]

    def normal(self, *shape: int) -> NDArray[np.float32]:
        """Standard normal numbers, float32 ``[rows, *shape]``."""
        drawn = self.generator.standard_normal((self.rows.total, *shape), dtype=np.float32)
        return drawn[self.rows.start : self.rows.stop]


@dataclass(slots=True, eq=False)
class Sampler:
    """The order of films: a new one each epoch, films drawn in proportion to their weights.

    An epoch has as many draws as there are films. A film of relative weight w comes ``floor(w)``
    or ``ceil(w)`` times (systematic resampling); with equal weights an epoch is a permutation.

    Attributes:
        weights: float64 ``[N]``, not negative.
        batch_size: Films of a step, over all processes.
        seed: Of the order.
    """

    weights: Weights
    batch_size: int
    seed: int
    _epoch: int = field(default=-1, init=False)
    _order: Indices = field(default_factory=lambda: np.empty(0, np.int64), init=False)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch; films left over come first in no other epoch."""
        return len(self.weights) // self.batch_size

    def indices(self, step: int) -> Indices:
        """The films of one step, int64 ``[batch_size]``; steps count from zero."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._draw(epoch)
        return self._order[batch * self.batch_size : (batch + 1) * self.batch_size]

    def _draw(self, epoch: int) -> Indices:
        generator = np.random.default_rng((self.seed, 0, epoch))
        expected = self.weights * (len(self.weights) / self.weights.sum())
        # Rounding guards sums of equal weights against falling short of a whole number.
        ends = np.floor(np.round(np.cumsum(expected), 6) + generator.random())
        counts = np.diff(ends, prepend=0).astype(np.int64)
        return generator.permutation(np.repeat(np.arange(len(counts)), counts))
