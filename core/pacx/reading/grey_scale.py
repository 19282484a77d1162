"""Stored grey values to displayed greys, in the order of PS3.4 annex N and PS3.3 section C.11.

Stored bits are cut out and given their sign, then follow the modality transformation, the values
of interest and one inversion for MONOCHROME1. The chain is composed first and applied once: as a
line where it is one, else through a table over all codes that the stored integers can take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacx.reading.lookup_table import Float64s
from pacx.reading.modality import Modality, Rescale
from pacx.reading.voi import Voi, Window

_STEEPEST_LINE = 1e4
_STRIP_ROWS = 64


@dataclass(frozen=True, slots=True)
class StoredBits:
    """Which bits of a code are the stored value (PS3.5 section 8.1.1).

    Attributes:
        bits: How many.
        high_bit: The most significant one; overlay bits beside them are cut off.
        signed: Two's complement.
    """

    bits: int
    high_bit: int
    signed: bool

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest value that there is room for."""
        if self.signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    def cut(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Stored values of unsigned codes: same shape and width, signed where they are."""
        width = 8 * codes.dtype.itemsize
        unsigned = codes.astype(f"u{codes.dtype.itemsize}", copy=False)
        if self.bits == width:
            return unsigned.view(f"i{codes.dtype.itemsize}") if self.signed else unsigned
        if not self.signed and self.high_bit == self.bits - 1:
            return np.asarray(unsigned & unsigned.dtype.type((1 << self.bits) - 1))
        up = unsigned << np.uint8(width - 1 - self.high_bit)
        moved = up.view(f"i{codes.dtype.itemsize}") if self.signed else up
        return np.asarray(moved >> moved.dtype.type(width - self.bits))


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyScale:
    """The whole chain from codes to displayed greys.

    Attributes:
        stored: Where the stored value lies in a code.
        modality: Stored values to the device's units.
        voi: The device's units to [0, 1].
        inverted: Whether the lowest value is displayed white.
        padding: First and last stored value of padding pixels, displayed black; or None.
    """

    stored: StoredBits
    modality: Modality
    voi: Voi
    inverted: bool
    padding: tuple[int, int] | None

    def apply(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Display codes ``[rows, columns]``: float32 in [0, 1], air dark."""
        ramp = self._ramp()
        return self._through_table(codes) if ramp is None else self._along_line(codes, *ramp)

    def greys(self, stored: Float64s) -> Float64s:
        """Displayed greys of stored values, in double precision."""
        shown = self.voi if isinstance(self.voi, Window) else self.voi.normalised
        greys = shown(self.modality(stored))
        greys = 1.0 - greys if self.inverted else greys
        if self.padding is not None:
            greys[(stored >= self.padding[0]) & (stored <= self.padding[1])] = 0.0
        return greys

    def _ramp(self) -> tuple[float, float] | None:
        """Stored values that are displayed black and white, where the chain is one line."""
        if not isinstance(self.modality, Rescale) or not isinstance(self.voi, Window):
            return None
        if self.voi.line is None:
            return None
        start, end = ((x - self.modality.intercept) / self.modality.slope for x in self.voi.line)
        if abs(end - start) < 1 / _STEEPEST_LINE or max(abs(start), abs(end)) > 2**24:
            return None
        return (end, start) if self.inverted else (start, end)

    def _through_table(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        dtype = np.dtype(f"u{codes.dtype.itemsize}")
        every_code = np.arange(1 << (8 * dtype.itemsize), dtype=dtype)
        table = self.greys(self.stored.cut(every_code).astype(np.float64)).astype(np.float32)
        shown: NDArray[np.float32] = np.take(table, codes.astype(dtype, copy=False), mode="clip")
        return shown

    def _along_line(
        self, codes: NDArray[np.integer[Any]], black: float, white: float
    ) -> NDArray[np.float32]:
        """Subtract the whole part of ``black`` first, which is exact, to keep single precision."""
        shown = np.empty(codes.shape, dtype=np.float32)
        origin, scale = np.float32(round(black)), np.float32(1 / (white - black))
        remainder = np.float32((round(black) - black) / (white - black))
        # Every step keeps the order of values, so that what the ends do not need none does.
        ends = (np.array(self.stored.limits, dtype=np.float32) - origin) * scale + remainder
        clips = bool((ends < 0).any() or (ends > 1).any())
        for top in range(0, len(codes), _STRIP_ROWS):
            strip = shown[top : top + _STRIP_ROWS]
            stored = self.stored.cut(codes[top : top + _STRIP_ROWS])
            np.copyto(strip, stored)  # faster than a subtraction that casts as it goes
            if origin:
                strip -= origin
            strip *= scale
            if remainder:
                strip += remainder
            if clips:
                np.clip(strip, 0.0, 1.0, out=strip)
            if self.padding is not None:
                strip[(stored >= self.padding[0]) & (stored <= self.padding[1])] = 0.0
        return shown
