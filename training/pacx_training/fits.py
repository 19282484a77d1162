"""What fitting a head leaves: its layers, and logits that are honest about ``train``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx.manifest import HeadSpec
from pacx_training.intervals import Scores
from pacx_training.runs import TrainedHead


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Layers:
    """float64 arrays of a head; ``hidden_*`` are None without a hidden layer.

    Attributes:
        weight: ``[C, D]`` or ``[C, H]``.
        bias: ``[C]``.
        hidden_weight: ``[H, D]``.
        hidden_bias: ``[H]``.
    """

    weight: Scores
    bias: Scores
    hidden_weight: Scores | None = None
    hidden_bias: Scores | None = None

    def head(self, spec: HeadSpec) -> TrainedHead:
        """The head as a run keeps it."""
        return TrainedHead(
            spec=spec,
            weight=self.weight.astype(np.float32),
            bias=self.bias.astype(np.float32),
            hidden_weight=_single(self.hidden_weight),
            hidden_bias=_single(self.hidden_bias),
        )


def _single(array: Scores | None) -> NDArray[np.float32] | None:
    return None if array is None else array.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fit:
    """One fitted head.

    Attributes:
        layers: Fitted on all of ``train``; behind a hidden layer without the patients whose loss
            said when to stop.
        logits: float64 ``[N, C]``; those of ``train`` are for patients that the fit behind them
            had not seen.
        strengths: For every column how strongly it was regularised; None behind a hidden layer.
    """

    layers: Layers
    logits: Scores
    strengths: tuple[float | None, ...]
