"""Stage 2's augmentations: resized crop, mild distortion, gamma and local contrast, batched.

Kornia warps, blurs and tones. What a film is told to look like is drawn here: kornia's own random
augmentations take their numbers from torch's global generator, in which they would belong to the
process and not to the film. A film is never mirrored: a mirrored chest is another anatomy.
"""

from __future__ import annotations

import torch
from kornia.enhance import adjust_gamma
from kornia.filters import box_blur
from kornia.geometry import create_meshgrid
from kornia.geometry.transform import remap
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
    gain, gamma = torch.from_numpy(2 * draws.uniform(2) - 1).unbind(1)
    waved = _waved(resized_crop(films, boxes, size), knots)
    toned = _sharpened(waved, gain * settings.local_contrast)
    varied: Tensor = adjust_gamma(toned.clamp(0, 1)[:, None], (gamma * settings.gamma).exp())
    return varied[:, 0]


def _waved(films: Tensor, knots: Tensor) -> Tensor:
    """Displace ``[N, S, S]`` smoothly; ``knots`` ``[N, 2, K, K]`` are in shares of the side."""
    if not knots.any():
        return films
    side = films.shape[-1]
    field = functional.interpolate(knots * side, (side, side), mode="bicubic", align_corners=True)
    # Kornia takes places in pixels, whose centres are whole numbers: that is align_corners.
    places = create_meshgrid(side, side, normalized_coordinates=False)
    across, down = (places + field.permute(0, 2, 3, 1)).unbind(-1)
    moved: Tensor = remap(films[:, None], across, down, padding_mode="border", align_corners=True)
    return moved[:, 0]


def _sharpened(films: Tensor, gain: Tensor) -> Tensor:
    """Unsharp masking of ``[N, S, S]`` by a gain ``[N]``, with a box of an eighth of the side."""
    radius = max(1, films.shape[-1] // 16)
    blurred: Tensor = box_blur(films[:, None], 2 * radius + 1)
    return films + gain[:, None, None] * (films - blurred[:, 0])
