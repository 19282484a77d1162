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
    box = _box(mask)
    corners, following = _edges(mask[box])
    loops = _loops(following)
    if not loops:
        return np.empty((0, 2))
    outline = corners[max(loops, key=len)] + (box[0].start, box[1].start)
    middles = (outline + np.roll(outline, -1, axis=0)) / 2
    before, after = middles - np.roll(middles, 1, axis=0), np.roll(middles, -1, axis=0) - middles
    bends = (before != after).any(axis=1)
    scale = np.array([geometry.rows, geometry.columns]) / geometry.size
    return np.asarray(middles[bends] * scale)


def _box(mask: Mask) -> tuple[slice, slice]:
    """The rows and the columns from the first to the last true pixel."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _edges(mask: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Border edges with the inside on the right: where each begins, and which one follows it.

    Returns:
        The first corner of every edge as row and column, int ``[E, 2]``, and int ``[E]``.
    """
    below = mask.shape[1] + 1
    starts, stops, headings = _borders(mask, below)
    number = np.full((4, below * (mask.shape[0] + 1)), -1)
    number[headings, starts] = np.arange(len(starts))
    # Where two pieces touch at a corner, turning right stays with the pixel at hand.
    right, ahead, left = (number[(headings + turn) % 4, stops] for turn in (1, 0, 3))
    following = np.where(right >= 0, right, np.where(ahead >= 0, ahead, left))
    return np.stack(np.divmod(starts, below), axis=1), following


def _borders(mask: Mask, below: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """First and last corner and heading (east, south, west, north) of every border edge.

    Corners are numbered in reading order, ``below`` of them in a row.
    """
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), dtype=np.bool_)
    padded[1:-1, 1:-1] = mask
    outside = ~padded
    sides = (
        (mask & outside[:-2, 1:-1], 0, 1),
        (mask & outside[1:-1, 2:], 1, below + 1),
        (mask & outside[2:, 1:-1], below + 1, below),
        (mask & outside[1:-1, :-2], below, 0),
    )
    pixels = [np.flatnonzero(edges) for edges, _, _ in sides]
    corners = [found + found // (below - 1) for found in pixels]
    starts = [c + start for c, (_, start, _) in zip(corners, sides, strict=True)]
    stops = [c + stop for c, (_, _, stop) in zip(corners, sides, strict=True)]
    headings = np.repeat(np.arange(4), [len(found) for found in pixels])
    return np.concatenate(starts), np.concatenate(stops), headings


def _loops(following: NDArray[np.intp]) -> list[list[int]]:
    """Closed walks over edges."""
    ahead = following.tolist()
    unseen = dict.fromkeys(range(len(ahead)))
    loops = []
    while unseen:
        edge, _ = unseen.popitem()
        loop = [edge]
        while (edge := ahead[edge]) != loop[0]:
            del unseen[edge]
            loop.append(edge)
        loops.append(loop)
    return loops
