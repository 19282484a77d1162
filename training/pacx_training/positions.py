"""Position embeddings: the fixed 2-D sin-cos table and its resizing to another grid."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sincos_positions(dimension: int, grid: int) -> Tensor:
    """The fixed table of facebookresearch/mae, width first, a row of zeros for CLS.

    The first half of the columns encodes the position along the width, the second along the
    height; each half is ``[sin, cos]`` of ``position / 10000 ** (2 i / half)``.

    Args:
        dimension: Width D of the embedding; a multiple of four.
        grid: Patches along one side.

    Returns:
        float32 ``[1, grid * grid + 1, D]``.
    """
    if dimension % 4:
        raise ValueError("the width of a 2-D sin-cos embedding must be a multiple of four")
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    halves = [_sincos(dimension // 2, axis.reshape(-1)) for axis in (columns, rows)]
    table = torch.cat([torch.zeros(1, dimension, dtype=torch.float64), torch.cat(halves, dim=1)])
    return table.float().unsqueeze(0)


def _sincos(dimension: int, positions: Tensor) -> Tensor:
    exponents = torch.arange(dimension // 2, dtype=torch.float64) / (dimension / 2)
    angles = torch.outer(positions.double(), 10000.0**-exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def resize_positions(positions: Tensor, grid: int) -> Tensor:
    """Interpolate a learned table to another grid (bicubic, antialiased); CLS is kept.

    Args:
        positions: ``[1, 1 + g * g, D]``, CLS first.
        grid: Patches along one side that are wanted.

    Returns:
        float32 ``[1, 1 + grid * grid, D]``.
    """
    cls, patches = positions[:, :1].float(), positions[:, 1:].float()
    side = round(patches.shape[1] ** 0.5)
    if side == grid:
        return positions.float()
    picture = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = functional.interpolate(
        picture, size=(grid, grid), mode="bicubic", antialias=True, align_corners=False
    )
    return torch.cat([cls, resized.flatten(2).transpose(1, 2)], dim=1)
