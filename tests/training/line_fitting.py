"""A stage so small that a whole training takes a moment; run as a program by the loop's tests.

The film ``i`` is the number ``i``; the target is a line in it with noise that belongs to the film.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pacx_training.atomic import write_atomically
from pacx_training.loop import Batch, LoopRecipe, Stage, train
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws

FILMS = 48


class Line:
    """Numbers, and noise for each."""

    def __init__(self, films: int = FILMS) -> None:
        """Take the number of films."""
        self.weights = np.ones(films)

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> Batch:
        """Inputs and targets, float32 ``[n, 1]``."""
        inputs = torch.from_numpy(indices).float()[:, None] / FILMS
        return inputs, 3 * inputs + torch.from_numpy(draws.uniform(1))


class Network(nn.Module):
    """Two layers, with dropout on request."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(1, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 1)
        )

    def forward(self, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Squared and absolute error."""
        errors = self.layers(inputs) - targets
        return {"loss": errors.square().mean(), "absolute": errors.abs().mean()}


def recipe(*overrides: str) -> LoopRecipe:
    """A recipe of a few steps; overrides are ``key=value``."""
    content: dict[str, object] = {
        "epochs": 5, "batch_size": 8, "learning_rate": 0.02, "precision": "fp32", "log_steps": 1,
        "workers": 1, "warmup_epochs": 1,
    }  # fmt: skip
    content |= dict(override.split("=") for override in overrides)
    return LoopRecipe.model_validate(content)


def stage(*, dropout: float = 0.0, validation: int | None = None) -> Stage:
    """The stage; what it saves is ``line.txt``, the prediction at 1."""
    network = Network(dropout)

    def save(run: RunDirectory) -> None:
        answer = network.layers.eval()(torch.ones(1, 1)).item()
        write_atomically(run.path / "line.txt", repr(answer).encode())

    return Stage(
        module=network,
        training=Line(),
        save=save,
        validation=None if validation is None else Line(validation),
    )


def main(arguments: Sequence[str]) -> None:
    """``line_fitting.py RUN [key=value ...]``: train on one thread, with ``$DROPOUT``.

    ``{RANK}`` in RUN gives every process a folder of its own.
    """
    folder, *overrides = arguments
    folder = folder.replace("{RANK}", os.environ.get("RANK", "0"))
    torch.set_num_threads(1)
    dropout = float(os.environ["DROPOUT"])
    train(stage(dropout=dropout), recipe(*overrides), RunDirectory(Path(folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
