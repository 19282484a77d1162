"""The range of a film that states no window."""

from __future__ import annotations

import numpy as np

from pacx.reading import read
from tests.core.reading.films import BARE, PIXELS, Elements, film
from tests.dicom_files import dicom_file
from tests.phantom_dicom import chest_pixels


def test_padding_is_black_and_no_part_of_the_range() -> None:
    padded = np.full((100, 80), 4000, dtype=np.uint16)
    padded[20:80, 16:64] = PIXELS // 8
    plain = film(BARE, pixels=PIXELS // 8)
    radiograph = film(BARE | {"PixelPaddingValue": 4000}, pixels=padded)
    assert radiograph.pixels[:20].max() == 0
    assert np.abs(radiograph.pixels[20:80, 16:64] - plain.pixels).max() <= 1e-6


def test_a_padding_range_has_two_ends() -> None:
    padded = np.full((100, 80), 4000, dtype=np.uint16)
    padded[:, 40:] = 4090
    padded[20:80, 16:64] = PIXELS // 8
    ends = {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000}
    radiograph = film(BARE | ends, pixels=padded)
    assert radiograph.pixels[:20].max() == 0
    assert radiograph.pixels[20:80, 16:64].max() == 1


def test_collimated_borders_are_no_part_of_the_range() -> None:
    framed = np.full((100, 80), 4095, dtype=np.uint16)
    framed[20:80, 16:64] = PIXELS // 8
    plain = film(BARE, pixels=PIXELS // 8)
    assert np.abs(film(BARE, pixels=framed).pixels[20:80, 16:64] - plain.pixels).max() <= 1e-6
    noisy = framed.copy()
    noisy[:20] -= np.random.default_rng(0).integers(0, 50, (20, 80), dtype=np.uint16)
    edges: Elements = {
        "CollimatorShape": "RECTANGULAR",
        "CollimatorUpperHorizontalEdge": 20,
        "CollimatorLowerHorizontalEdge": 80,
        "CollimatorLeftVerticalEdge": 16,
        "CollimatorRightVerticalEdge": 64,
    }
    shown = film(BARE | edges, pixels=noisy)
    assert np.abs(shown.pixels[20:80, 16:64] - plain.pixels).max() <= 1e-6


def test_8_bit_films_keep_their_whole_range() -> None:
    eight = (PIXELS >> 5).astype(np.uint8)
    radiograph = read(dicom_file(eight, **BARE))
    assert np.abs(radiograph.pixels - eight / 255).max() <= 1e-6


def test_defective_pixels_of_a_detector_do_not_darken_the_film() -> None:
    clean = chest_pixels(500, 420) // 8
    defective = clean.copy()
    defective[5, 5:8], defective[7, 7] = 4095, 0
    plain = film(BARE, pixels=clean).pixels
    assert np.abs(film(BARE, pixels=defective).pixels - plain).mean() <= 0.005
