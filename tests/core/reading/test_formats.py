"""Every format that is read, from end to end, and the real files where they are at hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pacx
from tests.phantom_dicom import chest_pixels

PICTURE = chest_pixels(120, 96)


def test_the_phantom_comes_out_as_its_window_shows_it(phantom_dicom: bytes) -> None:
    radiograph = pacx.read(phantom_dicom)
    assert (radiograph.rows, radiograph.columns) == (500, 420)
    assert radiograph.pixels.dtype == np.float32
    assert (radiograph.source, radiograph.modality, radiograph.view) == ("dicom", "DX", "PA")
    assert radiograph.spacing_mm == (0.8, 0.8)
    assert radiograph.warnings == ()
    assert np.abs(radiograph.pixels - chest_pixels() / 4095).max() < 1e-6


def test_a_path_and_its_bytes_are_the_same(phantom_dicom: bytes, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(phantom_dicom)
    assert np.array_equal(pacx.read(path).pixels, pacx.read(phantom_dicom).pixels)
    assert np.array_equal(pacx.read(str(path)).pixels, pacx.read(phantom_dicom).pixels)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_pictures_keep_16_bits(kind: str) -> None:
    sixteen = PICTURE * np.uint16(16)
    buffer = io.BytesIO()
    Image.fromarray(sixteen).save(buffer, kind)
    radiograph = pacx.read(buffer.getvalue())
    assert radiograph.source == kind.lower()
    assert np.abs(radiograph.pixels - sixteen / 65535).max() < 1e-7


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_8_bit_pictures_are_their_greys_over_255(kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray((PICTURE >> 4).astype(np.uint8)).save(buffer, kind)
    radiograph = pacx.read(buffer.getvalue())
    with Image.open(buffer) as picture:
        expected = np.asarray(picture) / np.float32(255)
    assert np.array_equal(radiograph.pixels, expected)


def test_compressed_and_uncompressed_real_films_are_one(data_dir: Path) -> None:
    plain = pacx.read(data_dir / "dicom" / "RG1_UNCR.dcm")
    reversible = pacx.read(data_dir / "dicom" / "RG1_J2KR.dcm")
    lossy = pacx.read(data_dir / "dicom" / "RG1_J2KI.dcm")
    assert np.array_equal(plain.pixels, reversible.pixels)
    assert np.abs(plain.pixels - lossy.pixels).mean() < 0.01
    for radiograph in (plain, reversible, lossy):
        assert radiograph.spacing_mm is None
        assert "spacing_unknown" in [warning.code for warning in radiograph.warnings]
        assert radiograph.view == "PA"


def test_a_real_film_without_window_and_view_is_read(data_dir: Path) -> None:
    radiograph = pacx.read(data_dir / "dicom" / "NIH_DX_implicit.dcm")
    assert radiograph.view is None
    assert "no_window" in [warning.code for warning in radiograph.warnings]
