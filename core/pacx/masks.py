"""Boolean masks of heart and lungs: cleaning them, joining them, taking them from logits.

A stack of masks is bool ``[3, S, S]`` in the order of ``STRUCTURES``, on the model's input grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacx.preprocessing import Geometry, upsample

Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

STRUCTURES = ("heart", "right_lung", "left_lung")
"""Order of the channels; right and left are the patient's."""


def masks_from(logits: NDArray[np.float32], size: int) -> Mask:
    """Threshold a decoder's logits on the model's input grid.

    Args:
        logits: float32 ``[3, side, side]``, positive inside a structure.
        size: Side of the model's input, pixels.

    Returns:
        bool ``[3, size, size]``, each structure its one largest piece without specks and spurs.
    """
    return np.stack([cleaned(mask) for mask in raw_masks(logits, size)])


def raw_masks(logits: NDArray[np.float32], size: int) -> Mask:
    """The same without any cleaning."""
    return np.asarray(upsample(logits, Geometry(rows=size, columns=size, size=size)) > 0)


def cleaned(mask: Mask) -> Mask:
    """The largest piece of a mask ``[rows, columns]`` after removing what is one pixel thin."""
    return largest_piece(opened(mask))


def opened(mask: Mask) -> Mask:
    """Erode, then dilate by one pixel in all eight directions: drops specks and thin spurs."""
    # What lies beyond the borders counts as inside, so that a structure that is cut off stays.
    return _dilated(~_dilated(~mask))


def thorax(masks: Mask) -> Mask:
    """Heart, lungs and what lies between them in the same row, bool ``[S, S]``."""
    inside = np.asarray(masks.any(axis=0))
    from_left = np.logical_or.accumulate(inside, axis=1)
    from_right = np.logical_or.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(from_left & from_right)


def _dilated(mask: Mask) -> Mask:
    """Grow a mask by a pixel in all eight directions."""
    tall = mask.copy()
    tall[1:] |= mask[:-1]
    tall[:-1] |= mask[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def largest_piece(mask: Mask) -> Mask:
    """The largest 4-connected component of a mask ``[rows, columns]``; the first one of a tie."""
    rows, starts, stops = _runs(mask)
    if not len(rows):
        return mask.copy()
    labels = _joined(len(rows), *_touching(rows, starts, stops, mask.shape[1]))
    sizes = np.bincount(labels, weights=stops - starts)
    kept = labels == sizes.argmax()
    if kept.all():
        return mask.copy()
    steps = np.zeros((mask.shape[0], mask.shape[1] + 1), dtype=np.int8)
    steps[rows[kept], starts[kept]] = 1
    steps[rows[kept], stops[kept]] = -1
    return np.asarray(steps.cumsum(axis=1)[:, :-1] > 0)


def _runs(mask: Mask) -> tuple[Indices, Indices, Indices]:
    """Row, first column and end of every horizontal run of true pixels, in reading order."""
    rows, columns = mask.shape
    # One line of all rows, a false pixel before each and one at the end, so that no run crosses
    # rows; looking for changes along a line is much faster than over a plane.
    line = np.zeros(rows * (columns + 1) + 1, dtype=np.bool_)
    line[:-1].reshape(rows, columns + 1)[:, 1:] = mask
    changes = np.flatnonzero(line[1:] != line[:-1])
    of_row, starts = np.divmod(changes[::2], columns + 1)
    return of_row, starts, starts + changes[1::2] - changes[::2]


def _touching(
    rows: Indices, starts: Indices, stops: Indices, columns: int
) -> tuple[Indices, Indices]:
    """Pairs of runs in neighbouring rows that share a column, as two arrays of run numbers."""
    stride = columns + 1
    above = (rows - 1) * stride
    first = np.searchsorted(rows * stride + stops, above + starts, side="right")
    last = np.searchsorted(rows * stride + starts, above + stops, side="left")
    counts = np.maximum(last - first, 0)
    lower = np.repeat(np.arange(len(rows)), counts)
    offsets = np.arange(len(lower)) - np.repeat(counts.cumsum() - counts, counts)
    return lower, first[lower] + offsets


def _joined(runs: int, lower: Indices, upper: Indices) -> Indices:
    """The smallest run number that every run is connected with."""
    parents = list(range(runs))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = run = parents[parents[run]]
        return run

    for pair in zip(lower.tolist(), upper.tolist(), strict=True):
        first, second = root(pair[0]), root(pair[1])
        parents[max(first, second)] = min(first, second)
    return np.array([root(run) for run in range(runs)], dtype=np.intp)
