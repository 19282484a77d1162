"""The outline of a mask as a polygon, for viewers that draw themselves."""

from __future__ import annotations

import numpy as np
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
    # All masks are one tall picture, in which an empty row keeps them apart.
    height = masks.shape[1] + 1
    picture = np.zeros((len(masks), height, masks.shape[2]), dtype=np.bool_)
    picture[:, :-1] = masks
    corners, following = _edges(picture.reshape(-1, masks.shape[2]))
    longest: dict[int, list[int]] = {}
    for loop in _loops(following):
        owner = int(corners[loop[0], 0]) // height
        longest[owner] = max(longest.get(owner, []), loop, key=len)
    return [
        _through_middles(corners[longest.get(owner, [])] - (owner * height, 0), geometry)
        for owner in range(len(masks))
    ]


def _through_middles(outline: NDArray[np.intp], geometry: Geometry) -> Polygon:
    """A walk from corner to corner as a polygon through the middles of its edges, where it bends.

    Args:
        outline: int ``[E, 2]``, corners one pixel apart.
        geometry: The way to the original picture.
    """
    middles = (outline + np.roll(outline, -1, axis=0)) / 2
    steps = np.roll(middles, -1, axis=0) - middles
    bends = (np.roll(steps, 1, axis=0) != steps).any(axis=1)
    scale = np.array([geometry.rows, geometry.columns]) / geometry.size
    return np.asarray(middles[bends] * scale)


def _edges(mask: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Border edges with the inside on the right: where each begins, and which one follows it.

    Returns:
        The first corner of every edge as row and column, int ``[E, 2]``, and int ``[E]``.
    """
    below = mask.shape[1] + 1
    starts, stops, headings = _borders(mask, below)
    corners = below * (mask.shape[0] + 1)
    keys = headings * corners + starts  # ascending: by heading, and each in reading order
    following = np.empty_like(keys)
    # Where two pieces touch at a corner, turning right stays with the pixel at hand.
    for turn in (3, 0, 1):
        wanted = (headings + turn) % 4 * corners + stops
        found = np.searchsorted(keys, wanted)
        there = keys.take(found, mode="clip") == wanted
        following[there] = found[there]
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
    seen = bytearray(len(ahead))
    loops = []
    for edge in range(len(ahead)):
        loop = []
        while not seen[edge]:
            seen[edge] = True
            loop.append(edge)
            edge = ahead[edge]
        if loop:
            loops.append(loop)
    return loops
