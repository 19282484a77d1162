"""EXIF orientation of photographs and scans (CIPA DC-008 section 4.6.5, tag 0x0112)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pacx.radiograph import ImageWarning

ORIENTED = ImageWarning("orientation_applied", "The picture was turned upright as its EXIF says.")
UPRIGHT = 1
_MIRRORED = frozenset({2, 4, 5, 7})
_QUARTER_TURNS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}


def orientation_of(exif: Image.Exif) -> int:
    """Value 1 to 8; whatever else a file says counts as upright."""
    value = exif.get(ExifTags.Base.Orientation, UPRIGHT)
    return value if value in _QUARTER_TURNS or value == 2 else UPRIGHT


def upright(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Turn and mirror ``[rows, columns]`` as the orientation asks."""
    turned = np.rot90(pixels, _QUARTER_TURNS.get(orientation, 0))
    return turned[:, ::-1] if orientation in _MIRRORED else turned
