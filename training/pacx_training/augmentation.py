"""Augmentation of whole batches in torch; every random number comes in from outside."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pacx_training.sampling import Draws

ATTEMPTS = 10
WHOLE = (0.0, 0.0, 1.0, 1.0)


def draw_boxes(
    draws: Draws, scale: tuple[float, float], ratio: tuple[float, float] = (3 / 4, 4 / 3)
) -> NDArray[np.float32]:
    """Random crops as RandomResizedCrop draws them: area uniform, ratio log-uniform.

    Args:
        draws: Random numbers of the rows.
        scale: Share of the picture's area, least and greatest.
        ratio: Width over height, least and greatest.

    Returns:
        float32 ``[rows, 4]``: top, left, height, width as shares of the picture; the whole
        picture where ten attempts did not fit into it.
    """
    numbers = draws.uniform(ATTEMPTS, 4).astype(np.float64)
    area = scale[0] + (scale[1] - scale[0]) * numbers[..., 0]
    low, high = (math.log(bound) for bound in ratio)
    proportion = np.exp(low + (high - low) * numbers[..., 1])
    width, height = np.sqrt(area * proportion), np.sqrt(area / proportion)
    top, left = numbers[..., 2] * (1 - height), numbers[..., 3] * (1 - width)
    boxes = np.stack([top, left, height, width], axis=-1)
    fits = (width <= 1) & (height <= 1)
    first = boxes[np.arange(len(boxes)), fits.argmax(axis=1)]
    return np.where(fits.any(axis=1, keepdims=True), first, WHOLE).astype(np.float32)


def whole_boxes(rows: int) -> NDArray[np.float32]:
    """Boxes ``[rows, 4]`` that crop nothing."""
    return np.tile(np.asarray(WHOLE, dtype=np.float32), (rows, 1))


def resized_crop(pictures: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut a box out of every picture and resize it, antialiased bilinear as Pillow does.

    The triangle filter is separable, so a batch is two batched matrix products.

    Args:
        pictures: ``[N, H, W]``, any type.
        boxes: float32 ``[N, 4]``: top, left, height, width as shares of the picture.
        size: Side of the result.

    Returns:
        float32 ``[N, size, size]`` in the range of the pictures.
    """
    top, left, height, width = boxes.float().unbind(dim=1)
    rows = _triangle(top, height, pictures.shape[1], size)
    columns = _triangle(left, width, pictures.shape[2], size)
    return rows @ pictures.float() @ columns.transpose(1, 2)


def _triangle(start: Tensor, length: Tensor, pixels: int, size: int) -> Tensor:
    """Weights ``[N, size, pixels]`` of the source pixels in every resized pixel."""
    step = (length * pixels / size)[:, None, None]
    across = torch.arange(size, device=start.device)[None, :, None] + 0.5
    centres = (start * pixels)[:, None, None] + across * step
    sources = torch.arange(pixels, device=start.device)[None, None, :] + 0.5
    weights = (1 - (sources - centres).abs() / step.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(dim=2, keepdim=True)
