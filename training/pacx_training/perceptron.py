"""The module behind a head: a linear layer, with or without one hidden layer before it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Perceptron(nn.Linear):
    """One hidden layer: ``W relu(V x + v) + b``; the output layer keeps a linear head's names."""

    def __init__(self, width: int, hidden: int, outputs: int) -> None:
        super().__init__(hidden, outputs)
        self.hidden = nn.Linear(width, hidden)

    def forward(self, embedding: Tensor) -> Tensor:
        """Embedding ``[N, D]`` -> logits ``[N, C]``."""
        return super().forward(functional.relu(self.hidden(embedding)))


def head_module(width: int, hidden: int | None, outputs: int) -> nn.Linear:
    """A head with untrained weights: ``D`` inputs, ``C`` outputs."""
    return nn.Linear(width, outputs) if hidden is None else Perceptron(width, hidden, outputs)
