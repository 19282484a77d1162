"""What to display of a file that states no window.

The range of the picture's own values but for the outermost 0.01 % at either end, which are dead
pixels of detectors. Padding, shutters, collimators and a constant frame around the picture are no
part of it. By ``benchmarks/jpeg_twin.py`` this is the range with the least drift to the 8-bit
picture that the training sets would have made of the file. Files of up to 8 stored bits are
already fit for display and keep their whole range, as the 8-bit pictures of the training sets do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacx.errors import NoContrast
from pacx.reading import tags
from pacx.reading.grey_scale import StoredBits
from pacx.reading.modality import Modality, Rescale
from pacx.reading.values import Values
from pacx.reading.voi import Window

LOWER_PERCENTILE, UPPER_PERCENTILE = 0.01, 99.99
_SAMPLE_PIXELS = 500_000
_LEAST_SHARE = 0.25


def robust_window(
    codes: NDArray[np.integer[Any]],
    stored: StoredBits,
    modality: Modality,
    padding: tuple[int, int] | None,
    values: Values,
) -> Window:
    """Choose a window from the picture itself.

    Args:
        codes: ``[rows, columns]``, as stored in the file.
        stored: Where the stored value lies in a code.
        modality: Stored values to the device's units, in which the window is given.
        padding: First and last stored value of padding pixels, or None.
        values: Of the file; shutter and collimator edges are read.

    Raises:
        NoContrast: All pixels that count have the same value.
    """
    if stored.bits <= 8 and isinstance(modality, Rescale):
        return _spanning(modality, -(1 << stored.bits - 1) if stored.signed else 0, stored.bits)
    sample = without_frame(_thinned(codes[visible_part(values, codes.shape)]))
    counts = np.bincount(sample.ravel(), minlength=2)
    seen = np.flatnonzero(counts).astype(sample.dtype)
    stored_values = stored.cut(seen).astype(np.float64)
    counted = np.ones(len(seen), dtype=bool)
    if padding is not None:
        counted = (stored_values < padding[0]) | (stored_values > padding[1])
    low, high = _percentiles(modality(stored_values[counted]), counts[seen[counted]])
    return Window((low + high) / 2, high - low, "LINEAR_EXACT")


def _spanning(modality: Rescale, lowest: int, bits: int) -> Window:
    ends = (modality.slope * x + modality.intercept for x in (lowest, lowest + (1 << bits) - 1))
    low, high = sorted(ends)
    return Window((low + high) / 2, high - low, "LINEAR_EXACT")


def _percentiles(greys: NDArray[np.float64], counts: NDArray[np.intp]) -> tuple[float, float]:
    """Range between the percentiles; the whole range where they coincide."""
    if len(greys) == 0 or greys.min() == greys.max():
        raise NoContrast("All pixels have the same value, so there is no picture to look at.")
    order = np.argsort(greys)
    share = 100 * np.cumsum(counts[order]) / counts.sum()
    low = greys[order][np.searchsorted(share, LOWER_PERCENTILE)]
    high = greys[order][np.searchsorted(share, UPPER_PERCENTILE)]
    if low == high:
        low, high = greys.min(), greys.max()
    return float(low), float(high)


def visible_part(values: Values, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """What rectangular shutters and collimators leave (PS3.3 sections C.7.6.11, C.8.7.3).

    Edges that leave less than a quarter of a side are taken for an error of the file.
    """
    part = [slice(0, shape[0]), slice(0, shape[1])]
    for edges in (tags.SHUTTER_EDGES, tags.COLLIMATOR_EDGES):
        found = [values.decimal(tag) for tag in edges]
        for axis, (first, last) in enumerate((found[:2], found[2:])):
            if first is not None and last is not None:
                part[axis] = _narrowed(part[axis], first, last)
    return part[0], part[1]


def _narrowed(part: slice, first: float, last: float) -> slice:
    if not (np.isfinite(first) and np.isfinite(last)):
        return part
    start, stop = max(part.start, int(max(first, 0))), min(part.stop, int(min(last, 1e6)))
    return slice(start, stop) if stop - start >= _LEAST_SHARE * (part.stop - part.start) else part


def without_frame(codes: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Cut off rows and columns of one single value along the border."""
    rows = np.flatnonzero(codes.min(axis=1) != codes.max(axis=1))
    columns = np.flatnonzero(codes.min(axis=0) != codes.max(axis=0))
    if len(rows) == 0 or len(columns) == 0:
        return codes
    return codes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _thinned(codes: NDArray[np.integer[Any]]) -> NDArray[np.unsignedinteger]:
    step = max(1, int(np.sqrt(codes.size / _SAMPLE_PIXELS)))
    unsigned = np.dtype(f"u{codes.dtype.itemsize}")
    return codes[::step, ::step].astype(unsigned, copy=False)
