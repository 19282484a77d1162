"""The outline of a mask as a polygon, for viewers that draw themselves."""

from __future__ import annotations

from typing import cast

import numpy as np
from contourpy import LineType, contour_generator
from numpy.typing import NDArray

from pacx.masks import Mask
from pacx.preprocessing import Geometry

Polygon = NDArray[np.float64]


def contours(masks: Mask, geometry: Geometry) -> list[Polygon]:
    """Trace the outer border of each mask on the model's input grid.

    Args:
        masks: bool ``[N, S, S]``, each of one piece.
        geometry: The way to the original picture.

    Returns:
        For every mask float64 ``[K, 2]``, rows and columns in pixels of the original picture,
        clockwise and not closed, through the middle of every border edge that is no part of a
        straight line; ``K`` is 0 for an empty mask.
    """
    scale = np.array([geometry.rows, geometry.columns]) / geometry.size
    return [_where_it_bends(_outer_border(mask)) * scale for mask in masks]


def _outer_border(mask: Mask) -> Polygon:
    """A walk through the middles of all border edges, in pixels of the mask; closed, or empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.empty((0, 2))
    top, left = rows[0], columns[0]
    inside = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    heights = np.zeros((inside.shape[0] + 2, inside.shape[1] + 2))
    heights[1:-1, 1:-1] = inside
    # Halfway between 0 and 1 a line runs through the middle between two pixels.
    tracer = contour_generator(z=heights, name="serial", line_type=LineType.Separate)
    lines = cast(list[Polygon], tracer.lines(0.5))
    return np.asarray(max(lines, key=len)[:, ::-1] + (top - 0.5, left - 0.5))


def _where_it_bends(walk: Polygon) -> Polygon:
    """The corners of a closed walk ``[E + 1, 2]`` whose last point is its first."""
    steps = np.diff(walk, axis=0)
    before = np.concatenate((steps[-1:], steps[:-1]))
    return np.asarray(walk[:-1][(steps != before).any(axis=1)])
