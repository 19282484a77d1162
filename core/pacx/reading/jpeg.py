"""JPEG files (ISO/IEC 10918-1, JFIF and EXIF)."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from pacx.errors import MalformedImage, UnusableImage
from pacx.reading.codestream import read_codestream_header
from pacx.reading.completeness import check_complete
from pacx.reading.failures import reported_as
from pacx.reading.limits import ReadingLimits
from pacx.reading.orientation import orientation_of
from pacx.reading.picture import check_size
from pacx.reading.samples import Samples

_DECODER = f"Pillow libjpeg_turbo {features.version('libjpeg_turbo')}"
_DCT_FRAMES = frozenset({0xC0, 0xC1, 0xC2})


def read_jpeg(content: bytes, limits: ReadingLimits) -> Samples:
    """Read 8 bits, baseline or progressive, grey, YCbCr, RGB or CMYK.

    Of several pictures in one file (thumbnails, gain maps) the main one is read.

    Raises:
        Truncated: There is no end marker.
        TooComplex: Too many scans.
        UnusableImage: Not 8 bits of a DCT process.
        MalformedImage: It breaks the rules of JPEG.
        TooLarge, TooSmall: By its declared size.
    """
    header = read_codestream_header(content, limits.scans)
    check_size(header.rows, header.columns, limits)
    if header.precision != 8 or header.marker not in _DCT_FRAMES:
        raise UnusableImage("Only JPEG files of 8 bits, baseline or progressive, are read.")
    with reported_as(MalformedImage, "The JPEG file cannot be decoded."):
        values, orientation = _decode(content)
        check_complete(content, values, lambda longer: _decode(longer)[0])
    if values.shape[:2] != (header.rows, header.columns):
        raise MalformedImage("The JPEG file contradicts its own size.")
    return Samples(values=np.atleast_3d(values), decoder=_DECODER, orientation=orientation)


def _decode(content: bytes) -> tuple[NDArray[np.uint8], int]:
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
        picture.load()
        grey_or_rgb = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
        return np.asarray(grey_or_rgb), orientation_of(picture.getexif())
