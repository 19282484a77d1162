"""A film that carries one word in every element that holds free text, to see where it ends up."""

from __future__ import annotations

from typing import Any

from pydicom.datadict import dictionary_VR, keyword_dict

from tests.dicom_files import dicom_file
from tests.phantom_dicom import chest_pixels

PIXELS = chest_pixels(60, 48)
MARKER = "ZQXMARKER"
TEXTS = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
GROUPS = (0x0008, 0x0010, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040)


def marked(elements: dict[str, Any] | None = None) -> bytes:
    """A film of 60 x 48 pixels with the marker in every text; ``elements`` are set last."""
    texts: dict[str, Any] = {
        keyword: MARKER
        for keyword, tag in keyword_dict.items()
        if keyword and tag >> 16 in GROUPS and dictionary_VR(tag) in TEXTS
    }
    return dicom_file(PIXELS, bits_stored=12, **texts | (elements or {}))
