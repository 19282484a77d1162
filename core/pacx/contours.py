"""The outline of a mask as a polygon, for viewers that draw themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacx.masks import Mask
from pacx.preprocessing import Geometry

Polygon = NDArray[np.float64]


def contour(mask: Mask, geometry: Geometry) -> Polygon:
    """Trace the outer border of a mask on the model's input grid.

    Args:
        mask: bool ``[S, S]``, one piece.
        geometry: The way to the original picture.

    Returns:
        float64 ``[K, 2]``, rows and columns in pixels of the original picture, clockwise and not
        closed, through the middle of every border edge that is no part of a straight line;
        ``K`` is 0 for an empty mask.
    """
    loops = _loops(mask)
    if not loops:
        return np.empty((0, 2))
    corners = np.stack(np.divmod(max(loops, key=len), _stride(mask)), axis=1).astype(np.float64)
    middles = (corners + np.roll(corners, -1, axis=0)) / 2
    before, after = middles - np.roll(middles, 1, axis=0), np.roll(middles, -1, axis=0) - middles
    bends = ~np.isclose(before, after).all(axis=1)
    scale = np.array([geometry.rows, geometry.columns]) / geometry.size
    return np.asarray(middles[bends] * scale)


def _loops(mask: Mask) -> list[list[int]]:
    """Closed walks along pixel corners, by the corners' numbers, with the inside on the right."""
    steps = _steps(mask)
    loops: list[list[int]] = []
    while steps:
        corner = next(iter(steps))
        loop: list[int] = []
        while corner in steps:
            loop.append(corner)
            following = steps[corner]
            corner = following.pop()
            if not following:
                del steps[loop[-1]]
        loops.append(loop)
    return loops


def _steps(mask: Mask) -> dict[int, list[int]]:
    """Where each border edge leads to from its first corner."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    below = _stride(mask)
    sides = (
        (inside & ~padded[:-2, 1:-1], 0, 1),
        (inside & ~padded[1:-1, 2:], 1, below + 1),
        (inside & ~padded[2:, 1:-1], below + 1, below),
        (inside & ~padded[1:-1, :-2], below, 0),
    )
    steps: dict[int, list[int]] = {}
    for edges, start, stop in sides:
        pixels = np.flatnonzero(edges)
        corners = pixels + pixels // mask.shape[1]
        for first, last in zip((corners + start).tolist(), (corners + stop).tolist(), strict=True):
            steps.setdefault(first, []).append(last)
    return steps


def _stride(mask: Mask) -> int:
    """Corners in a row of corners; they are numbered in reading order."""
    return int(mask.shape[1]) + 1
