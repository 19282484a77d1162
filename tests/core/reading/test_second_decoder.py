"""Codecs against other codecs: pydicom's plugins, and files that DCMTK and GDCM have written."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom import uid
from pydicom.pixels.processing import apply_color_lut

from pacx.reading import ReadingOptions, read
from tests.core.reading.standard import Display, Integers, greys_of_rgb
from tests.dicom_files import ENCODERS, dicom_file
from tests.hostile_files import tiles_without
from tests.phantom_dicom import chest_pixels

ANYTHING = ReadingOptions(
    modalities=frozenset({"CR", "DX", "CT", "MR", "US", "OT", "NM"}), any_body_part=True
)
PLUGINS = [
    (uid.RLELossless, "pydicom"),
    (uid.JPEGBaseline8Bit, "gdcm"),
    (uid.JPEGLossless, "gdcm"),
    (uid.JPEGLosslessSV1, "gdcm"),
    (uid.JPEGLSLossless, "gdcm"),
    (uid.JPEGLSNearLossless, "pyjpegls"),
    (uid.JPEG2000Lossless, "pylibjpeg"),
    (uid.JPEG2000, "pylibjpeg"),
]
# Written by DCMTK, GDCM and vendors; they come with pydicom.
FOREIGN_FILES = Path(pydicom.data.__file__).parent / "test_files"
WINDOWED = [
    "693_J2KI.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "examples_overlay.dcm",
]
COLOURED = [
    "ExplVR_BigEnd.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "SC_jpeg_no_color_transform.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_lossy_gdcm.dcm",
    "SC_rgb_rle_16bit.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_jpeg2k.dcm",
]


def decoded(content: bytes | Path, plugin: str = "") -> tuple[pydicom.Dataset, Integers]:
    """Stored values by pydicom."""
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    file = pydicom.dcmread(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.pixel_array_options(raw=True, decoding_plugin=plugin)
        return file, file.pixel_array


@pytest.mark.parametrize(("syntax", "plugin"), PLUGINS, ids=lambda value: str(value))
def test_another_decoder_sees_the_same(syntax: uid.UID, plugin: str) -> None:
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    pixels = chest_pixels(100, 80) if bits > 8 else (chest_pixels(100, 80) >> 4).astype(np.uint8)
    content = dicom_file(pixels, syntax=syntax, bits_stored=bits)
    _, theirs = decoded(content, plugin)
    shown = Display(center=1 << bits - 1, width=1 << bits)(theirs)
    step = 1 if syntax in (uid.JPEGBaseline8Bit, uid.JPEG2000) else 0
    assert np.abs(read(content).pixels - shown).max() <= step / ((1 << bits) - 1) + 1e-6


def test_another_decoder_joins_the_same_tiles() -> None:
    content = tiles_without()
    _, theirs = decoded(content, "pylibjpeg")
    shown = Display(center=2048, width=4096)(theirs)
    assert np.abs(read(content).pixels - shown).max() <= 1e-6


def test_openjph_and_openjpeg_decode_htj2k_alike() -> None:
    pixels = chest_pixels(100, 80)
    stream = ENCODERS[uid.HTJ2K](pixels, 12)
    content = dicom_file(pixels, syntax=uid.HTJ2K, bits_stored=12, codestream=stream)
    shown = Display(center=2048, width=4096)(imagecodecs.htj2k_decode(stream))
    assert np.abs(read(content).pixels - shown).max() <= 1.01 / 4095


@pytest.mark.parametrize("name", WINDOWED)
def test_greys_of_other_writers_follow_the_standard(name: str) -> None:
    file, stored = decoded(FOREIGN_FILES / name)
    display = Display(
        slope=float(file.get("RescaleSlope", 1)),
        intercept=float(file.get("RescaleIntercept", 0)),
        center=float(np.atleast_1d(file.WindowCenter)[0]),
        width=float(np.atleast_1d(file.WindowWidth)[0]),
        inverted=file.PhotometricInterpretation == "MONOCHROME1",
    )
    shown = read(FOREIGN_FILES / name, options=ANYTHING).pixels
    assert np.abs(shown - display(stored)).max() <= 2e-6


@pytest.mark.parametrize("name", COLOURED)
def test_colours_of_other_writers_become_their_luminance(name: str) -> None:
    file, stored = decoded(FOREIGN_FILES / name)
    if file.PhotometricInterpretation.startswith("YBR_FULL"):
        expected = stored[..., 0] / (2**file.BitsStored - 1)
    else:
        expected = greys_of_rgb(stored, file.BitsStored)
    radiograph = read(FOREIGN_FILES / name, options=ANYTHING)
    assert np.abs(radiograph.pixels - expected).max() <= 1.01 / 255
    assert "colour_converted" in [warning.code for warning in radiograph.warnings]


def test_a_palette_of_another_writer_becomes_its_luminance() -> None:
    path = FOREIGN_FILES / "examples_palette.dcm"
    file, stored = decoded(path)
    rgb = apply_color_lut(stored, file)
    shown = read(path, options=ANYTHING).pixels
    assert np.abs(shown - greys_of_rgb(rgb, 16)).max() <= 1 / 255


def test_a_12_bit_jpeg_of_another_writer_shows_its_jpeg_2000_twin() -> None:
    """One bone scan in two codings; no other decoder here reads 12-bit JPEG."""
    jpeg = read(FOREIGN_FILES / "JPGExtended.dcm", options=ANYTHING).pixels
    twin = read(FOREIGN_FILES / "JPEG2000.dcm", options=ANYTHING).pixels
    assert np.corrcoef(jpeg.ravel(), twin.ravel())[0, 1] > 0.9
