"""The samples of a PNG, JPEG or TIFF file, and what they look like as greys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx.radiograph import ImageWarning
from pacx.reading.colour import CONVERTED, luminance
from pacx.reading.orientation import UPRIGHT

Greys = NDArray[np.float32]

_COMPOSITED = ImageWarning("alpha_composited", "Transparent pixels were displayed on black.")
_NARROW = ImageWarning(
    "depth_from_values", "The samples use 14 bits or fewer of their 16, which were taken as range."
)
_WIDEST_NARROW_BITS = 14


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Decoded samples.

    Attributes:
        values: uint8 or uint16 ``[rows, columns, channels]``: grey, grey and alpha, RGB or RGBA.
        decoder: Library that decoded them, with its version.
        orientation: Of the EXIF data, 1 to 8 (1 is upright), still to be applied.
        turned: Whether the decoder turned the picture upright.
        inverted: Whether zero is white.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    decoder: str
    orientation: int = UPRIGHT
    turned: bool = False
    inverted: bool = False

    def greys(self) -> tuple[Greys, list[ImageWarning]]:
        """Luminance float32 ``[rows, columns]`` in [0, 1], composited on black."""
        channels = self.values.shape[2]
        bits, warnings = self._bits()
        if channels < 3:
            greys = self.values[..., 0].astype(np.float32) / np.float32(2**bits - 1)
        else:
            greys = luminance(self.values[..., :3], "RGB", bits)
            warnings.append(CONVERTED)
        if self.inverted:
            greys = 1 - greys
        opaque = 2 ** (8 * self.values.itemsize) - 1
        if channels in (2, 4) and self.values[..., -1].min() < opaque:
            greys = greys * (self.values[..., -1].astype(np.float32) / np.float32(opaque))
            warnings.append(_COMPOSITED)
        return greys, warnings

    def _bits(self) -> tuple[int, list[ImageWarning]]:
        """Bits of the range.

        Many archives write 10 to 14 bits of a detector into 16 without scaling them; displayed
        as 16 bits they would be nearly black.
        """
        if self.values.dtype == np.uint8:
            return 8, []
        colours = self.values[..., : 1 if self.values.shape[2] < 3 else 3]
        used = int(colours.max()).bit_length()
        return (max(used, 8), [_NARROW]) if used <= _WIDEST_NARROW_BITS else (16, [])
