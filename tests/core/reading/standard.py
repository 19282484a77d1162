"""PS3.3 section C.11 written out as it is printed, value by value in double precision.

The reader composes these steps and applies them once; here each is applied to every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Doubles = NDArray[np.float64]
BT601 = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, kw_only=True)
class Display:
    """How a file wants its stored values to be shown.

    Attributes:
        slope: Rescale Slope.
        intercept: Rescale Intercept.
        modality_lut: First input value and entries, instead of the rescale line.
        center: Window Center.
        width: Window Width.
        function: VOI LUT Function.
        voi_lut: First input value, entries and bits of an entry, instead of the window.
        inverted: MONOCHROME1.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: tuple[int, list[int]] | None = None
    center: float = 0.0
    width: float = 1.0
    function: str = "LINEAR"
    voi_lut: tuple[int, list[int], int] | None = None
    inverted: bool = False

    def __call__(self, stored: Integers) -> Doubles:
        """Displayed greys in [0, 1]."""
        x = self._modality(stored)
        y = self._lookup(x) if self.voi_lut is not None else self._window(x)
        return 1 - y if self.inverted else y

    def _modality(self, stored: Integers) -> Doubles:
        if self.modality_lut is None:
            return self.slope * stored.astype(np.float64) + self.intercept
        first, entries = self.modality_lut
        index = np.clip(stored.astype(np.int64) - first, 0, len(entries) - 1)
        return np.array(entries, dtype=np.float64)[index]

    def _lookup(self, x: Doubles) -> Doubles:
        assert self.voi_lut is not None
        first, entries, bits = self.voi_lut
        index = np.clip(np.rint(x).astype(np.int64) - first, 0, len(entries) - 1)
        return np.asarray(np.array(entries)[index] / (2**bits - 1))

    def _window(self, x: Doubles) -> Doubles:
        c, w = self.center, self.width
        if self.function == "SIGMOID":
            with np.errstate(over="ignore"):
                return np.asarray(1 / (1 + np.exp(-4 * (x - c) / w)))
        if self.function == "LINEAR_EXACT":
            low, high, middle = x <= c - w / 2, x > c + w / 2, (x - c) / w + 0.5
        else:
            low = x <= c - 0.5 - (w - 1) / 2
            high = x > c - 0.5 + (w - 1) / 2
            with np.errstate(divide="ignore", invalid="ignore"):
                middle = (x - (c - 0.5)) / (w - 1) + 0.5
        return np.where(low, 0.0, np.where(high, 1.0, middle))


def greys_of_rgb(rgb: Integers, bits: int) -> Doubles:
    """ITU-R BT.601 luminance of ``[rows, columns, 3]``."""
    return np.asarray(rgb @ BT601 / (2**bits - 1))
