"""The outline of a mask as a polygon, for viewers that draw themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacx.masks import Mask
from pacx.preprocessing import Geometry

Polygon = NDArray[np.float64]
_Corner = tuple[int, int]


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
    corners = np.array(max(loops, key=len), dtype=np.float64)
    middles = (corners + np.roll(corners, -1, axis=0)) / 2
    before, after = middles - np.roll(middles, 1, axis=0), np.roll(middles, -1, axis=0) - middles
    bends = ~np.isclose(before, after).all(axis=1)
    scale = np.array([geometry.rows, geometry.columns]) / geometry.size
    return np.asarray(middles[bends] * scale)


def _loops(mask: Mask) -> list[list[_Corner]]:
    """Closed walks along pixel corners with the inside on the right."""
    steps = _steps(mask)
    loops: list[list[_Corner]] = []
    while steps:
        corner = next(iter(steps))
        loop: list[_Corner] = []
        while corner in steps:
            loop.append(corner)
            following = steps[corner].pop()
            if not steps[corner]:
                del steps[corner]
            corner = following
        loops.append(loop)
    return loops


def _steps(mask: Mask) -> dict[_Corner, list[_Corner]]:
    """Where each border edge leads to from its first corner."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    sides = (
        (inside & ~padded[:-2, 1:-1], (0, 0), (0, 1)),
        (inside & ~padded[1:-1, 2:], (0, 1), (1, 1)),
        (inside & ~padded[2:, 1:-1], (1, 1), (1, 0)),
        (inside & ~padded[1:-1, :-2], (1, 0), (0, 0)),
    )
    steps: dict[_Corner, list[_Corner]] = {}
    for edges, start, stop in sides:
        for row, column in np.argwhere(edges).tolist():
            corner = (row + start[0], column + start[1])
            steps.setdefault(corner, []).append((row + stop[0], column + stop[1]))
    return steps
