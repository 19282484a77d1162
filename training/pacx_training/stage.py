"""What the loop is told: how to train (a recipe) and what (a stage)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from pacx_training.precision import Precision
from pacx_training.recipes import RecipeSection
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws

Batch = tuple[Tensor, ...]
Beta = Annotated[float, Field(ge=0, lt=1)]
"""Share of a moment that stays from one step to the next."""


class LoopRecipe(RecipeSection):
    """How long, how fast and how exactly; the key ``loop`` in a section of a recipe."""

    epochs: float = Field(gt=0)
    warmup_epochs: float = Field(0, ge=0)
    batch_size: int = Field(ge=1, description="Films of a step, over all devices.")
    device_batch: int | None = Field(
        None, ge=1, description="Films that a device computes at once; gradients accumulate."
    )
    learning_rate: float = Field(gt=0, description="At the peak.")
    final_share: float = Field(0.0, ge=0, le=1, description="Of the peak, left at the end.")
    weight_decay: float = Field(0.05, ge=0)
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Factor of the learning rate from a block to the one before."
    )
    clip_norm: float | None = Field(None, gt=0, description="Of the gradient.")
    precision: Precision = Field("auto", description="auto: bf16 where the device has it.")
    seed: int = Field(0, ge=0, lt=2**63, description="torch takes no greater one.")
    workers: int = Field(2, ge=1, description="Threads that make batches ahead of time.")
    checkpoint_minutes: float = Field(10, ge=0, description="0: after every step.")
    keep_checkpoints: int = Field(2, ge=1)
    validation_epochs: int = Field(
        1, ge=1, description="Epochs between two measurements of the validation films."
    )
    log_steps: int = Field(10, ge=1, description="Steps between two points of a curve.")


class Source(Protocol):
    """Where batches come from."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """How often each film is drawn, relative to the others, float64 ``[N]``."""

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> Batch:
        """Make the tensors of some films, on the CPU; called from several threads.

        Args:
            indices: Which films, int64 ``[rows]``.
            draws: Random numbers that belong to those rows.
        """


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Stage:
    """One kind of training.

    Attributes:
        module: The training step; its state dict is what a snapshot holds.
        training: Films that it learns from.
        validation: Films that are measured every ``validation_epochs``, in evaluation mode, with
            the same draws each time; curves ``validation/<name>``. Films beyond whole batches are
            left out.
        save: Writes what the stage is for, such as the encoder; called with every snapshot.
        pictures: Grey pictures ``[H, W]`` in [0, 1] for TensorBoard, drawn after every epoch.
    """

    module: nn.Module
    training: Source
    save: Callable[[RunDirectory], None]
    validation: Source | None = None
    pictures: Callable[[], Mapping[str, Tensor]] | None = None
