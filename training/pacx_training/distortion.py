"""Stage 2's augmentations: resized crop, mild distortion, gamma and local contrast, batched.

A film is never mirrored: a mirrored chest is another anatomy.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from pacx_training.augmentation import draw_boxes, resized_crop
from pacx_training.recipes import RecipeSection
from pacx_training.sampling import Draws

KNOTS = 4
"""Knots of the distortion along one side."""


class DistortionSettings(RecipeSection):
    """How much films vary; a smallest crop of 1 and zeros leave them alone."""

    smallest_crop: float = Field(0.8, gt=0, le=1, description="Share of the area that stays.")
    gamma: float = Field(0.2, ge=0, description="Log of the exponent, at most.")
    local_contrast: float = Field(0.3, ge=0, description="Gain of unsharp masking, at most.")
    distortion: float = Field(0.01, ge=0, description="Of the side, standard deviation of a knot.")


def distorted(films: Tensor, size: int, settings: DistortionSettings, draws: Draws) -> Tensor:
    """Draw one variant of every film.

    Args:
        films: float ``[N, H, W]`` in [0, 1].
        size: Side of what comes out, pixels.
        settings: How much may change.
        draws: Random numbers of these rows.

    Returns:
        float ``[N, size, size]`` in [0, 1].
    """
    boxes = torch.from_numpy(draw_boxes(draws, (settings.smallest_crop, 1.0), (0.95, 1 / 0.95)))
    knots = torch.from_numpy(draws.normal(2, KNOTS, KNOTS)) * settings.distortion
    gain, gamma = torch.from_numpy(2 * draws.uniform(2) - 1)[:, :, None, None].unbind(1)
    waved = _waved(resized_crop(films, boxes, size), knots)
    toned = _sharpened(waved, gain * settings.local_contrast)
    return toned.clamp(0, 1) ** (gamma * settings.gamma).exp()


def _waved(films: Tensor, knots: Tensor) -> Tensor:
    """Displace ``[N, S, S]`` smoothly; ``knots`` ``[N, 2, K, K]`` are in shares of the side."""
    if not knots.any():
        return films
    field = functional.interpolate(knots, films.shape[-2:], mode="bicubic", align_corners=True)
    still = torch.eye(2, 3).expand(len(films), -1, -1)
    grid = functional.affine_grid(still, [len(films), 1, *films.shape[-2:]], align_corners=False)
    # grid_sample's coordinates run from -1 to 1, so that a side is 2 long.
    moved = functional.grid_sample(
        films[:, None],
        grid + 2 * field.permute(0, 2, 3, 1),
        padding_mode="border",
        align_corners=False,
    )
    return moved[:, 0]


def _sharpened(films: Tensor, gain: Tensor) -> Tensor:
    """Unsharp masking of ``[N, S, S]`` with a box of an eighth of the side."""
    radius = max(1, films.shape[-1] // 16)
    blurred = functional.avg_pool2d(
        films[:, None], 2 * radius + 1, stride=1, padding=radius, count_include_pad=False
    )[:, 0]
    return films + gain * (films - blurred)
