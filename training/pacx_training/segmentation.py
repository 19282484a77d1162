"""The anatomy decoder: tokens of a frozen encoder and the film itself -> heart and lungs.

A small sibling of the paper's segmentation head (convolution, then transposed convolutions on
the patch grid). The tokens know what is where; the film itself, at twice the masks' resolution,
knows the borders.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from pacx.errors import CheckpointError
from pacx.masks import STRUCTURES
from pacx_training.atomic import write_atomically
from pacx_training.checkpoints import load_strictly, read_tensors
from pacx_training.recipes import RecipeSection
from pacx_training.runs import RunDirectory

Masks = NDArray[np.bool_]


class AnatomyConfig(BaseModel):
    """The shape of an anatomy decoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embed_dim: int = Field(ge=1, description="Width of a token.")
    grid: int = Field(ge=1, description="Tokens on a side.")
    widths: tuple[int, ...] = Field(
        (64, 32, 16), min_length=2, description="Channels, each at twice the resolution."
    )
    detail: int = Field(8, ge=1, description="Channels that the film itself gives.")

    @property
    def side(self) -> int:
        """Side of the masks, pixels."""
        return int(self.grid * 2 ** (len(self.widths) - 1))


class AnatomyDecoder(nn.Module):
    """Tokens ``[N, T, D]`` and :func:`film_detail` -> logits ``[N, 3, side, side]``.

    The channels are ``STRUCTURES``; a pixel belongs to a structure where its logit is positive.
    """

    def __init__(self, config: AnatomyConfig) -> None:
        super().__init__()
        self.config = config
        self.reduce = nn.Conv2d(config.embed_dim, config.widths[0], 1)
        self.mix = nn.Conv2d(config.widths[0], config.widths[0], 3, padding=1)
        self.ups = nn.ModuleList(_Upsampling(*pair) for pair in pairwise(config.widths))
        self.detail = nn.Conv2d(1, config.detail, 4, stride=2, padding=1)
        joint = config.widths[-1] + config.detail
        self.refine = nn.Conv2d(joint, config.widths[-1], 3, padding=1)
        self.masks = nn.Conv2d(config.widths[-1], len(STRUCTURES), 1)

    def forward(self, tokens: Tensor, detail: Tensor) -> Tensor:
        """Decode a batch; ``detail`` is ``[N, 1, 2 side, 2 side]``."""
        grid = self.config.grid
        features = tokens.transpose(1, 2).reshape(-1, self.config.embed_dim, grid, grid)
        features = functional.gelu(self.mix(functional.gelu(self.reduce(features))))
        for up in self.ups:
            features = up(features)
        borders = functional.gelu(self.detail(detail))
        masks: Tensor = self.masks(functional.gelu(self.refine(torch.cat([features, borders], 1))))
        return masks


class _Upsampling(nn.Module):
    """Twice the resolution: a transposed convolution, group normalisation, GELU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
        self.norm = nn.GroupNorm(4, after)

    def forward(self, features: Tensor) -> Tensor:
        normalised: Tensor = self.norm(self.up(features))
        return functional.gelu(normalised)


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

    steps: int = Field(700, ge=1)
    batch: int = Field(24, ge=1)
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    token_dropout: float = Field(0.1, ge=0, lt=1, description="Of the tokens' channels.")
    seed: int = 0


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice, as the paper trains its segmentation heads.

    Args:
        logits: ``[N, 3, S, S]``.
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
        masks: uint8 ``[N, 3, side, side]``, share of a pixel times 255.
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
        logits = decoder(noisy, detail[index].float())
        optimiser.zero_grad()
        loss = segmentation_loss(logits, masks[index].float() / 255)
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
        masks: bool ``[N, 3, S, S]``.
        truth: The same shape.

    Returns:
        float64 ``[N, 3]``; 1 where both are empty.
    """
    overlap = 2 * (masks & truth).sum(axis=(2, 3))
    total = masks.sum(axis=(2, 3)) + truth.sum(axis=(2, 3))
    return np.where(total == 0, 1.0, overlap / np.maximum(total, 1))


def save_decoder(run: RunDirectory, decoder: AnatomyDecoder) -> None:
    """Write ``anatomy.safetensors`` (float32) and ``anatomy.json`` into a run."""
    tensors = {key: tensor.contiguous() for key, tensor in decoder.state_dict().items()}
    config = decoder.config.model_dump_json(indent=2).encode() + b"\n"
    write_atomically(run.path / "anatomy.json", config)
    write_atomically(run.path / "anatomy.safetensors", safetensors.torch.save(tensors))


def load_decoder(run: RunDirectory) -> AnatomyDecoder | None:
    """Read a run's decoder in evaluation mode; None where it has none.

    Raises:
        CheckpointError: A file is damaged or the two disagree.
    """
    if not (run.path / "anatomy.json").is_file():
        return None
    try:
        config = AnatomyConfig.model_validate_json((run.path / "anatomy.json").read_bytes())
    except ValidationError as error:
        raise CheckpointError("The run folder holds no valid anatomy.json.") from error
    decoder = AnatomyDecoder(config)
    load_strictly(decoder, read_tensors(run.path / "anatomy.safetensors"))
    return decoder.eval()
