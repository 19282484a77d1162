"""How well masks agree with outlines, film by film and structure by structure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

Masks = NDArray[np.bool_]
Values = NDArray[np.float64]


def intersection_over_union(masks: Masks, truth: Masks) -> Values:
    """Jaccard's index of masks ``[..., S, S]``, shape ``[...]``; 1 where both are empty."""
    overlap = (masks & truth).sum(axis=(-2, -1))
    union = (masks | truth).sum(axis=(-2, -1))
    return np.where(union == 0, 1.0, overlap / np.maximum(union, 1))


def hausdorff_95(mask: Masks, truth: Masks) -> float:
    """95th percentile of the distances between two borders, both ways together.

    Args:
        mask: bool ``[S, S]``.
        truth: The same shape.

    Returns:
        As a share of the side; NaN where either is empty.
    """
    if not mask.any() or not truth.any():
        return float("nan")
    borders = _border(mask), _border(truth)
    there = distance_transform_edt(~borders[1])[borders[0]]
    back = distance_transform_edt(~borders[0])[borders[1]]
    farthest = float(np.percentile(np.concatenate([there, back]), 95))
    return farthest / len(mask)


def _border(mask: Masks) -> Masks:
    return np.asarray(mask & ~binary_erosion(mask))
