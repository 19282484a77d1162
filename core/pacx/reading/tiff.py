"""TIFF files of 16-bit grey (TIFF 6.0)."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, TiffImagePlugin, features

from pacx.errors import MalformedImage, MultiFrame, TooLarge, UnusableImage
from pacx.reading.failures import reported_as
from pacx.reading.limits import ReadingLimits
from pacx.reading.orientation import UPRIGHT, orientation_of
from pacx.reading.picture import check_size
from pacx.reading.samples import Samples

_DECODER = f"Pillow libtiff {features.version('libtiff')}"
_PHOTOMETRIC_INTERPRETATION, _WHITE_IS_ZERO = 262, 0
# Pillow knows this layout in little endian only; samples are left as stored in either.
_BIG_ENDIAN_WHITE_IS_ZERO = (TiffImagePlugin.MM, _WHITE_IS_ZERO, (1,), 1, (16,), ())
TiffImagePlugin.OPEN_INFO.setdefault(_BIG_ENDIAN_WHITE_IS_ZERO, ("I;16B", "I;16B"))


def read_tiff(content: bytes, limits: ReadingLimits) -> Samples:
    """Read one page of 16-bit grey.

    Raises:
        MultiFrame: Several pages.
        UnusableImage: Other samples than unsigned 16-bit grey.
        MalformedImage: It breaks the rules of TIFF.
        TooLarge, TooSmall: By its declared size.
    """
    with reported_as(MalformedImage, "The TIFF file cannot be decoded."):
        try:
            return _read(content, limits)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise TooLarge(f"The picture has more than {limits.pixels} pixels.") from None


def _read(content: bytes, limits: ReadingLimits) -> Samples:
    with Image.open(io.BytesIO(content), formats=("TIFF",)) as picture:
        check_size(picture.height, picture.width, limits)
        if getattr(picture, "n_frames", 1) > 1:
            raise MultiFrame("The TIFF file has several pages; send one radiograph.")
        if picture.mode not in ("I;16", "I;16B"):
            raise UnusableImage("Of TIFF files only 16-bit grey is read.")
        # Pillow turns the picture when it loads it, and forgets the orientation.
        turned = orientation_of(picture.getexif()) != UPRIGHT
        values = np.asarray(picture)
        tags = getattr(picture, "tag_v2", {})
        return Samples(
            values=np.atleast_3d(values.astype(np.uint16)),
            decoder=_DECODER,
            turned=turned,
            inverted=tags.get(_PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO,
        )
