"""What the reader owes to any bytes at all, and small files of every kind to try it on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset

from pacx.errors import InputError
from pacx.reading import ReadingLimits, ReadingOptions, read
from tests.dicom_files import LOSSLESS, LOSSY, NATIVE, dicom_file
from tests.hostile_files import FAULTS
from tests.phantom_dicom import chest_pixels

LIMITS = ReadingLimits(pixels=1_000_000, inflated_bytes=4_000_000, elements=2_000)
OPTIONS = ReadingOptions(
    allow_for_processing=True,
    any_body_part=True,
    modalities=frozenset({"CR", "DX", "RG", "DR", "CT", "OT"}),
)
LONGEST_SEED_BYTES = 16_384
_SAFETY_NET = "The file cannot be read."


def read_one(content: bytes) -> None:
    """Read: one of our errors, or a picture that keeps its contract.

    Raises:
        AssertionError: The picture breaks it, or an exception of our own code got as far as the
            outermost safety net.
    """
    try:
        radiograph = read(content, limits=LIMITS, options=OPTIONS)
    except InputError as error:
        if error.detail.startswith(_SAFETY_NET):
            raise AssertionError(error.detail) from error
        return
    pixels = radiograph.pixels
    assert pixels.dtype == np.float32
    assert pixels.ndim == 2
    assert min(pixels.shape) >= 32
    assert np.isfinite(pixels).all()
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert radiograph.spacing_mm is None or min(radiograph.spacing_mm) > 0


def seeds() -> Iterator[bytes]:
    """Small files of every format, syntax, depth and display."""
    grey = chest_pixels(40, 36)
    eight = (grey >> 4).astype(np.uint8)
    for syntax in (*NATIVE, *LOSSLESS, *LOSSY):
        if syntax != uid.JPEGBaseline8Bit:
            yield dicom_file(grey, syntax=syntax, bits_stored=12)
        yield dicom_file(eight, syntax=syntax) if syntax != uid.JPEGExtended12Bit else b""
    rgb = np.repeat(eight[..., np.newaxis], 3, axis=2)
    for syntax in (uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGBaseline8Bit):
        yield dicom_file(rgb, syntax=syntax)
    for elements in _displays():
        yield dicom_file(grey, bits_stored=12, **elements)
    yield from _pictures(eight, grey)
    yield from (content for content in _hostile() if len(content) < LONGEST_SEED_BYTES)


def _displays() -> list[dict[str, Any]]:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [256, 0, 12])
    table.add_new("LUTData", "US", list(range(0, 4096, 16)))
    no_window = {"WindowCenter": None, "WindowWidth": None}
    return [
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"VOILUTSequence": [table], "ModalityLUTSequence": [table]},
        {"VOILUTFunction": "SIGMOID", "RescaleSlope": "-2.5", "RescaleIntercept": "100"},
        no_window | {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 9},
        no_window | {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 4},
        {"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": "1.1"},
    ]


def _pictures(eight: np.ndarray[Any, Any], grey: np.ndarray[Any, Any]) -> Iterator[bytes]:
    grey_picture = Image.fromarray(eight)
    for mode in ("L", "RGB", "P", "LA", "RGBA", "1"):
        yield _saved(grey_picture.convert(mode), "PNG")
    for mode in ("L", "RGB", "CMYK"):
        yield _saved(grey_picture.convert(mode), "JPEG")
    yield _saved(grey_picture, "JPEG", progressive=True)
    for kind in ("PNG", "TIFF"):
        yield _saved(Image.fromarray(grey * np.uint16(16)), kind)
    yield _saved(Image.fromarray(grey), "TIFF", compression="tiff_lzw")


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _hostile() -> Iterator[bytes]:
    return (fault.build() for fault in FAULTS if fault.row not in (15, 16, 21))
