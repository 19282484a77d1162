"""Colour pixels to luminance (PS3.3 section C.7.6.3.1.2, ITU-R BT.601)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacx.errors import UnusableImage
from pacx.radiograph import ImageWarning
from pacx.reading import tags
from pacx.reading.lookup_table import read_lookup_table
from pacx.reading.values import Values

_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
CONVERTED = ImageWarning("colour_converted", "Colours were converted to luminance.")


def luminance(pixels: NDArray[np.integer[Any]], photometric: str, bits: int) -> NDArray[np.float32]:
    """Luminance of decoded colour pixels.

    Args:
        pixels: Unsigned ``[rows, columns, 3]``, or ``[rows, columns]`` where only the luminance of
            a YBR picture was decoded.
        photometric: What the three samples mean after decoding.
        bits: Of a sample.

    Returns:
        float32 ``[rows, columns]`` in [0, 1].
    """
    white = np.float32(2.0**bits - 1)
    if pixels.ndim == 2:
        grey = pixels.astype(np.float32)
    elif photometric.startswith("YBR_FULL"):
        grey = pixels[..., 0].astype(np.float32)
    else:
        grey = pixels.astype(np.float32) @ _WEIGHTS
    shown: NDArray[np.float32] = np.minimum(grey / white, np.float32(1))
    return shown


def palette_luminance(values: Values, codes: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Luminance of palette indices; those outside the palette take its nearest end.

    Raises:
        UnusableImage: The file has no palette of its own.
        MalformedImage: The palette is shorter than it says.
    """
    if tags.PALETTE_DATA[0] not in values:
        raise UnusableImage("A palette picture needs its palette in the file.")
    every_code = np.arange(1 << (8 * codes.dtype.itemsize), dtype=np.float64)
    table = np.zeros(every_code.shape)
    for weight, descriptor, data in zip(
        _WEIGHTS, tags.PALETTE_DESCRIPTORS, tags.PALETTE_DATA, strict=True
    ):
        palette = read_lookup_table(values, descriptor, data, signed=False)
        table += float(weight) * palette.normalised(every_code)
    greys: NDArray[np.float32] = table.astype(np.float32)[codes]
    return greys
