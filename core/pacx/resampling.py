"""Antialiased bilinear resizing, as Pillow and the paper's torchvision do it, by matrix products.

Every pixel of the result is a weighted mean of a few neighbours, so the matrix of an axis is zero
but for a narrow band. Blocks of its rows are multiplied with the part of the picture that they
touch, which takes a quarter of Pillow's time for a film of a million pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_GROWING = 32
"""Pixels of a block where the picture grows; where it shrinks, they need many more of it."""
_LONGEST_KEPT = 8192
"""Axes of films are shorter; the weights of one that is longer would fill the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """Weights ``[target, source]`` of a block of target pixels, and the source pixels they need."""

    target: slice
    source: slice
    weights: NDArray[np.float32]


def resize(picture: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Resize pictures; each axis by a triangle filter that is as wide as a pixel of the result.

    Args:
        picture: float32 ``[..., source_rows, source_columns]``.
        rows: Of the result.
        columns: Of the result.

    Returns:
        float32 ``[..., rows, columns]``, Pillow's ``BILINEAR`` but for the rounding of products.
    """
    if rows > picture.shape[-2]:  # an axis that shrinks the picture comes before one that does not
        return _resize_rows(_resize_columns(picture, columns), rows)
    return _resize_columns(_resize_rows(picture, rows), columns)


def _resize_rows(picture: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    *stack, source, columns = picture.shape
    resized = np.empty((*stack, rows, columns), dtype=np.float32)
    for band in _bands(source, rows, 4 if rows < source else _GROWING):
        np.matmul(band.weights, picture[..., band.source, :], out=resized[..., band.target, :])
    return resized


def _resize_columns(picture: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    *stack, rows, source = picture.shape
    resized = np.empty((*stack, rows, columns), dtype=np.float32)
    for band in _bands(source, columns, 8 if columns < source else _GROWING):
        resized[..., band.target] = picture[..., band.source] @ band.weights.T
    return resized


def _bands(source: int, target: int, block: int) -> Iterable[_Band]:
    if max(source, target) > _LONGEST_KEPT:
        return _make_bands(source, target, block)
    return _kept_bands(source, target, block)


@lru_cache(maxsize=128)
def _kept_bands(source: int, target: int, block: int) -> tuple[_Band, ...]:
    return tuple(_make_bands(source, target, block))


def _make_bands(source: int, target: int, block: int) -> Iterator[_Band]:
    for first in range(0, target, block):
        yield _band(source, target, first, min(first + block, target))


def _band(source: int, target: int, first: int, stop: int) -> _Band:
    scale = source / target
    reach = max(scale, 1.0)
    centres = (np.arange(first, stop) + 0.5) * scale
    low, high = max(int(centres[0] - reach), 0), min(int(centres[-1] + reach) + 1, source)
    distances = np.abs(np.arange(low, high) + 0.5 - centres[:, np.newaxis])
    weights = np.clip(1 - distances / reach, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return _Band(slice(first, stop), slice(low, high), weights.astype(np.float32))
