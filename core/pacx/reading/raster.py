"""PNG, JPEG and TIFF to a radiograph."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pacx.radiograph import Radiograph, check_usable
from pacx.reading.jpeg import read_jpeg
from pacx.reading.limits import ReadingLimits
from pacx.reading.orientation import ORIENTED, UPRIGHT, upright
from pacx.reading.png import read_png
from pacx.reading.tiff import read_tiff

RasterFormat = Literal["png", "jpeg", "tiff"]

_READERS = {"png": read_png, "jpeg": read_jpeg, "tiff": read_tiff}


def read_raster(content: bytes, name: RasterFormat, limits: ReadingLimits) -> Radiograph:
    """Read a picture that is already fit for display: no window, no spacing, no view.

    Raises:
        InputError: One of its classes, for every file that cannot be read or used.
    """
    samples = _READERS[name](content, limits)
    greys, warnings = samples.greys()
    if samples.orientation != UPRIGHT:
        greys = np.ascontiguousarray(upright(greys, samples.orientation))
    if samples.turned or samples.orientation != UPRIGHT:
        warnings.append(ORIENTED)
    check_usable(greys)
    return Radiograph(pixels=greys, source=name, decoder=samples.decoder, warnings=tuple(warnings))
