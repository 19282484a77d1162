"""The outline of a mask as a polygon, for viewers that draw themselves."""

from __future__ import annotations

from typing import cast

import numpy as np
from contourpy import FillType, LineType, SerialContourGenerator, ZInterp
from numpy.typing import NDArray

from pacx.masks import Mask
from pacx.preprocessing import Geometry

Numbers = NDArray[np.float64]
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
    # The pixels' middles, and one pixel more on every side.
    down = np.arange(rows[0] - 1, rows[-1] + 2) + 0.5
    across = np.arange(columns[0] - 1, columns[-1] + 2) + 0.5
    inside = np.zeros((len(down), len(across)))
    inside[1:-1, 1:-1] = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Halfway between 0 and 1 a line runs through the middle between two pixels.
    lines = cast(list[Polygon], _tracer(across, down, inside).lines(0.5))
    return max(lines, key=len)[:, ::-1]


def _tracer(across: Numbers, down: Numbers, inside: Numbers) -> SerialContourGenerator:
    """Made without ``contour_generator``, whose checks take longer than the tracing."""
    x, y = np.empty_like(inside), np.empty_like(inside)
    x[:], y[:] = across, down[:, np.newaxis]
    return SerialContourGenerator(
        x,
        y,
        inside,
        np.zeros(inside.shape, dtype=np.bool_),
        corner_mask=False,
        line_type=LineType.Separate,
        fill_type=FillType.OuterOffset,
        quad_as_tri=False,
        z_interp=ZInterp.Linear,
    )


def _where_it_bends(walk: Polygon) -> Polygon:
    """The corners of a closed walk ``[E + 1, 2]`` whose last point is its first."""
    steps = walk[1:] - walk[:-1]
    turned = steps != np.concatenate((steps[-1:], steps[:-1]))
    return np.asarray(walk[:-1][turned[:, 0] | turned[:, 1]])
