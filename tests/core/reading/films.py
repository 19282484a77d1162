"""Small films with given header elements, read at once."""

from __future__ import annotations

from typing import Any

from pacx.radiograph import Radiograph
from pacx.reading import ReadingOptions, read
from tests.dicom_files import Pixels, dicom_file
from tests.phantom_dicom import chest_pixels

Elements = dict[str, Any]

PIXELS = chest_pixels(60, 48)
BARE: Elements = {"WindowCenter": None, "WindowWidth": None}


def film(
    elements: Elements, *, options: ReadingOptions | None = None, pixels: Pixels = PIXELS
) -> Radiograph:
    """Write a 12-bit DX film with these elements, and read it."""
    content = dicom_file(pixels, bits_stored=12, **elements)
    return read(content, options=options or ReadingOptions())


def codes(radiograph: Radiograph) -> set[str]:
    """Codes of all warnings."""
    return {warning.code for warning in radiograph.warnings}
