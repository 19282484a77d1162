"""Whether a JPEG scan holds its whole picture.

libjpeg fills what a damaged scan leaves out with one grey, and says so in a warning that no
binding passes on: half a film would look like a film.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacx.errors import PixelDataCorrupt
from pacx.reading.codestream import end_of_image

# Unlike the zeros that decoders put in the place of missing bits, from the first bit on.
_MORE_SCAN = bytes(range(0xAA, 0xFF)) * 12
_SUSPICIOUS_PIXELS = 8

Integers = NDArray[np.integer[Any]]


def check_complete(
    stream: bytes,
    pixels: Integers,
    decode: Callable[[bytes], Integers],
    *,
    always: bool = False,
) -> None:
    """Refuse a scan that ends before its picture does.

    Where the picture ends in one grey, it is decoded once more with other bytes behind the scan.
    A complete scan is never read so far; one that is not changes.

    Args:
        stream: JPEG codestream with an end marker.
        pixels: ``[rows, columns, ...]``, as decoded from it.
        decode: The decoder.
        always: Also look at a picture that ends otherwise: prediction of the lossless process
            carries on from the last good pixels.

    Raises:
        PixelDataCorrupt: The scan ends too early.
    """
    if not always and np.ptp(pixels[-1, -_SUSPICIOUS_PIXELS:]) != 0:
        return
    end = end_of_image(stream)
    # A last 0xFF would begin a marker with the byte behind it; before a zero it is data.
    stuffed = b"\0" if stream[end - 1] == 0xFF else b""
    longer = stream[:end] + stuffed + _MORE_SCAN + stream[end:]
    if not np.array_equal(decode(longer), pixels):
        raise PixelDataCorrupt("The JPEG data ends before its picture does.")
