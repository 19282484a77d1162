"""The learning rate: linear warm-up, then half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CosineSchedule:
    """The learning rate as a share of its peak, a pure function of the step.

    Attributes:
        steps: Of the whole run.
        warmup_steps: Of the linear rise.
        final_share: What is left at the end.
    """

    steps: int
    warmup_steps: int = 0
    final_share: float = 0.0

    def __call__(self, step: int) -> float:
        """The share in (0, 1] for a step that counts from zero."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.final_share + (1 - self.final_share) * (1 + math.cos(math.pi * done)) / 2
