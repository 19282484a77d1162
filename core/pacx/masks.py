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
    return cleaned(raw_masks(logits, size))


def raw_masks(logits: NDArray[np.float32], size: int) -> Mask:
    """The same without any cleaning."""
    return np.asarray(upsample(logits, Geometry(rows=size, columns=size, size=size)) > 0)


def cleaned(masks: Mask) -> Mask:
    """The largest piece of each mask of a stack after removing what is one pixel thin."""
    return largest_pieces(opened(masks))


def opened(masks: Mask) -> Mask:
    """Erode, then dilate by one pixel in all eight directions: drops specks and thin spurs.

    Takes and gives masks ``[..., rows, columns]``.
    """
    # What lies beyond the borders counts as inside, so that a structure that is cut off stays.
    return _dilated(~_dilated(~masks))


def thorax(masks: Mask) -> Mask:
    """Heart, lungs and what lies between them in the same row, bool ``[S, S]``."""
    inside = np.asarray(masks.any(axis=0))
    from_left = np.logical_or.accumulate(inside, axis=1)
    from_right = np.logical_or.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(from_left & from_right)


def _dilated(masks: Mask) -> Mask:
    """Grow masks ``[..., rows, columns]`` by a pixel in all eight directions."""
    tall = masks.copy()
    tall[..., 1:, :] |= masks[..., :-1, :]
    tall[..., :-1, :] |= masks[..., 1:, :]
    wide = tall.copy()
    wide[..., 1:] |= tall[..., :-1]
    wide[..., :-1] |= tall[..., 1:]
    return wide


def largest_pieces(masks: Mask) -> Mask:
    """The largest 4-connected component of each mask ``[N, rows, columns]``; of a tie the first."""
    # All masks are one tall picture, in which an empty row keeps them apart.
    picture = np.zeros((masks.shape[0], masks.shape[1] + 1, masks.shape[2]), dtype=np.bool_)
    picture[:, :-1] = masks
    rows, starts, stops = _runs(picture.reshape(-1, masks.shape[2]))
    owners = rows // picture.shape[1]
    lower, upper = _touching(rows, starts, stops, masks.shape[2])
    if _hang_together(owners, lower):
        return masks.copy()
    labels = _joined(len(rows), lower, upper)
    kept = _largest(labels, stops - starts, owners)
    if kept.all():
        return masks.copy()
    steps = np.zeros((len(masks) * picture.shape[1], masks.shape[2] + 1), dtype=np.int8)
    steps[rows[kept], starts[kept]] = 1
    steps[rows[kept], stops[kept]] = -1
    return (steps.cumsum(axis=1)[:, :-1] > 0).reshape(picture.shape)[:, :-1]


def _hang_together(owners: Indices, lower: Indices) -> bool:
    """Whether every run but the first of its mask touches one above, so that all are one piece.

    Most masks of lungs and hearts do; of others this says nothing.
    """
    hanging = np.zeros(len(owners), dtype=np.bool_)
    hanging[lower] = True
    return bool((hanging[1:] | (owners[1:] != owners[:-1])).all())


def _largest(labels: Indices, lengths: Indices, owners: Indices) -> NDArray[np.bool_]:
    """Whether a run belongs to the largest piece of its mask, bool, one for every run."""
    sizes = np.bincount(labels, weights=lengths, minlength=len(labels))
    kept = np.zeros(len(labels), dtype=np.bool_)
    for owner in np.unique(owners):
        first, end = np.searchsorted(owners, (owner, owner + 1))
        kept[first:end] = labels[first:end] == first + sizes[first:end].argmax()
    return kept


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
    for first, second in zip(lower.tolist(), upper.tolist(), strict=True):
        while parents[first] != first:
            parents[first] = first = parents[parents[first]]
        while parents[second] != second:
            parents[second] = second = parents[parents[second]]
        parents[max(first, second)] = min(first, second)
    labels = np.array(parents, dtype=np.intp)
    while (labels[labels] != labels).any():
        labels = labels[labels]
    return labels
