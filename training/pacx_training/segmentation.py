"""The anatomy decoder: tokens of a frozen encoder and the film itself -> heart and lungs.

A small sibling of the paper's segmentation head: a convolution on the patch grid, then one
upsampling by a sub-pixel convolution, which is a transposed one whose strides do not overlap. The
tokens know what is where; the film itself, at twice the masks' resolution, knows the borders.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from pacx.masks import STRUCTURES
from pacx_training.precision import arithmetic
from pacx_training.recipes import RecipeSection

Masks = NDArray[np.bool_]


class AnatomyConfig(BaseModel):
    """The shape of an anatomy decoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embed_dim: int = Field(ge=1, description="Width of a token.")
    grid: int = Field(ge=1, description="Tokens on a side.")
    width: int = Field(96, ge=1, description="Channels on the patch grid.")
    detail: int = Field(8, ge=1, description="Channels that the film itself gives.")
    features: int = Field(16, ge=1, description="Channels on the masks' grid.")
    upsampling: int = Field(4, ge=1, description="Pixels of a mask on a side of a patch.")
    structures: int = Field(len(STRUCTURES), ge=1, description="Masks of a film.")

    @property
    def side(self) -> int:
        """Side of the masks, pixels."""
        return self.grid * self.upsampling


class AnatomyDecoder(nn.Module):
    """Tokens ``[N, T, D]`` and :func:`film_detail` -> logits ``[N, C, side, side]``.

    The channels of anatomy are ``STRUCTURES``; a pixel belongs to a structure where its logit is
    positive.
    """

    def __init__(self, config: AnatomyConfig) -> None:
        super().__init__()
        self.config = config
        width, features, detail = config.width, config.features, config.detail
        self.reduce = nn.Linear(config.embed_dim, width)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.Conv2d(width, features * config.upsampling**2, 1)
        self.detail = nn.Conv2d(1, detail, 4, stride=2, padding=1)
        self.join = nn.Conv2d(features + detail, features, 3, padding=1)
        self.refine = nn.Conv2d(features, features, 3, padding=1)
        self.masks = nn.Conv2d(features, config.structures, 1)

    def forward(self, tokens: Tensor, detail: Tensor) -> Tensor:
        """Decode a batch; ``detail`` is ``[N, 1, 2 side, 2 side]``."""
        config = self.config
        features = functional.gelu(self.reduce(tokens)).transpose(1, 2)
        features = features.reshape(-1, config.width, config.grid, config.grid)
        features = self.up(functional.gelu(self.mix(features)))
        features = functional.pixel_shuffle(features, config.upsampling)
        borders = functional.relu(self.detail(detail))
        joined = functional.relu(self.join(torch.cat([features, borders], dim=1)))
        masks: Tensor = self.masks(functional.relu(self.refine(joined)))
        return masks


def film_detail(pixel_values: Tensor, side: int) -> Tensor:
    """The film as a decoder sees it.

    Args:
        pixel_values: Normalised, ``[N, 3, S, S]``.
        side: Of the masks; twice as much is a divisor of ``S``.

    Returns:
        ``[N, 1, 2 side, 2 side]``.
    """
    grey = pixel_values.mean(dim=1, keepdim=True)
    return functional.avg_pool2d(grey, pixel_values.shape[-1] // (2 * side))


class FittingRecipe(RecipeSection):
    """How a decoder is fitted."""

    steps: int = Field(2000, ge=1)
    batch: int = Field(16, ge=1)
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    token_dropout: float = Field(0.1, ge=0, lt=1, description="Of the tokens' channels.")
    seed: int = 0


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice, as the paper trains its segmentation heads.

    Args:
        logits: ``[N, C, S, S]``.
        masks: The same shape, shares of a pixel in [0, 1].
    """
    probabilities = logits.sigmoid()
    overlap = (probabilities * masks).sum(dim=(2, 3))
    total = (probabilities + masks).sum(dim=(2, 3))
    dice = 1 - ((2 * overlap + 1) / (total + 1)).mean()
    return functional.binary_cross_entropy_with_logits(logits, masks) + dice


def fit_decoder(
    config: AnatomyConfig, tokens: Tensor, detail: Tensor, masks: Tensor, recipe: FittingRecipe
) -> AnatomyDecoder:
    """Fit a decoder on cached tokens.

    Args:
        config: Its shape.
        tokens: ``[N, T, D]``, any float type.
        detail: ``[N, 1, 2 side, 2 side]``, see :func:`film_detail`.
        masks: uint8 ``[N, C, side, side]``, share of a pixel times 255.
        recipe: How.

    Returns:
        The decoder in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    decoder = AnatomyDecoder(config).train()
    optimiser = torch.optim.AdamW(
        decoder.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.lr, recipe.steps)
    for index in _batches(len(tokens), recipe):
        channels = tokens[index].float().transpose(1, 2)
        noisy = functional.dropout1d(channels, recipe.token_dropout).transpose(1, 2)
        with torch.autocast("cpu", torch.bfloat16, enabled=arithmetic("auto") == "bf16"):
            logits = decoder(noisy, detail[index].float())
        optimiser.zero_grad()
        loss = segmentation_loss(logits.float(), masks[index].float() / 255)
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return decoder.eval()


def _batches(films: int, recipe: FittingRecipe) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(recipe.seed)
    for _ in range(recipe.steps):
        yield torch.randint(films, (recipe.batch,), generator=generator)


def dice(masks: Masks, truth: Masks) -> NDArray[np.float64]:
    """Dice's coefficient per film and structure.

    Args:
        masks: bool ``[N, C, S, S]``.
        truth: The same shape.

    Returns:
        float64 ``[N, C]``; 1 where both are empty.
    """
    overlap = 2 * (masks & truth).sum(axis=(2, 3))
    total = masks.sum(axis=(2, 3)) + truth.sum(axis=(2, 3))
    return np.where(total == 0, 1.0, overlap / np.maximum(total, 1))
