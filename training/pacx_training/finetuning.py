"""Fine-tuning: a linear head on the CLS token, trained together with the encoder below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.cohorts.cache import CachedFilms
from pacx_training.encoder import VisionTransformer
from pacx_training.loop import train
from pacx_training.perceptron_training import head_loss
from pacx_training.recipes import RecipeSection
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws
from pacx_training.stage import Batch, LoopRecipe, Stage

BATCH = 64
_WHITE = np.float32(255)

Rows = NDArray[np.int64]


class FineTuningRecipe(RecipeSection):
    """How an encoder is fine-tuned; the paper's values where it states them."""

    epochs: float = Field(5, gt=0)
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Of the epochs.")
    batch_size: int = Field(32, ge=1, description="At most; fewer films make a smaller batch.")
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)

    def loop(self, films: int, learning_rate: float, seed: int) -> LoopRecipe:
        """What the loop is told for a number of films."""
        return LoopRecipe(
            epochs=self.epochs,
            warmup_epochs=self.epochs * self.warmup_share,
            batch_size=min(self.batch_size, films),
            learning_rate=learning_rate,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            seed=seed,
            keep_checkpoints=1,
        )


class FineTuned(nn.Module):
    """An encoder and a linear head; the loop's step and, afterwards, what predicts.

    Args:
        encoder: Is trained in place.
        findings: Number C of outputs.
    """

    def __init__(self, encoder: VisionTransformer, findings: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.embed_dim, findings)

    def forward(self, pixels: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Binary cross entropy over what is known.

        Args:
            pixels: Normalised, ``[N, 3, S, S]``.
            targets: ``[N, C]``, 1 or 0; NaN is unknown.
        """
        logits = self.logits(pixels)
        return {"loss": head_loss(logits.float(), targets, "multilabel", None)}

    def logits(self, pixels: Tensor) -> Tensor:
        """Normalised pixels ``[N, 3, S, S]`` -> ``[N, C]``."""
        logits: Tensor = self.head(self.encoder(pixels).cls)
        return logits


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LabelledFilms:
    """Some films of a cohort with their labels; a source of batches.

    Attributes:
        films: Prepared.
        targets: float32 ``[N, C]`` of all of them, 1 or 0; NaN is unknown.
        rows: Which of the N are learnt from.
        spec: How pixels are normalised.
    """

    films: CachedFilms
    targets: NDArray[np.float32]
    rows: Rows
    spec: PreprocessingSpec

    @property
    def weights(self) -> NDArray[np.float64]:
        """Every film is drawn as often as every other."""
        return np.ones(len(self.rows))

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> Batch:  # noqa: ARG002 (a Source)
        """Normalised pixels and targets; films are shown as they are."""
        rows = self.rows[indices]
        return self.pixels(rows), torch.from_numpy(self.targets[rows])

    def pixels(self, rows: Rows) -> Tensor:
        """Normalised, float32 ``[n, 3, S, S]``."""
        grey = self.films[rows].astype(np.float32) / _WHITE
        return torch.from_numpy(normalise(grey, self.spec))


def fine_tune(
    encoder: VisionTransformer,
    source: LabelledFilms,
    recipe: FineTuningRecipe,
    run: RunDirectory,
    *,
    learning_rate: float,
    seed: int,
) -> FineTuned:
    """Train an encoder with a new head.

    Args:
        encoder: Is trained in place.
        source: Films and labels.
        recipe: How.
        run: Where the loop keeps snapshots and curves; goes on from a snapshot that lies there.
        learning_rate: At the peak, of encoder and head.
        seed: Of the head's first weights and the order of the films.

    Raises:
        TrainingError: The loss is no longer finite.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = FineTuned(encoder, source.targets.shape[1])
        stage = Stage(module=model, training=source, save=_nothing_else)
        train(stage, recipe.loop(len(source.rows), learning_rate, seed), run)
    return model.eval()


@torch.inference_mode()
def predict(model: FineTuned, source: LabelledFilms, rows: Rows) -> NDArray[np.float64]:
    """Logits float64 ``[n, C]`` of some films of the source's cohort."""
    device = model.head.weight.device
    parts = [
        model.logits(source.pixels(rows[start : start + BATCH]).to(device)).cpu().double().numpy()
        for start in range(0, len(rows), BATCH)
    ]
    return np.concatenate(parts)


def _nothing_else(run: RunDirectory) -> None:
    """A snapshot holds all that fine-tuning is for."""
