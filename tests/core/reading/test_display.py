"""How values are shown: strange windows, polarity, and what is chosen without a window."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from pacx.reading import ReadingOptions
from tests.core.reading.films import BARE, PIXELS, Elements, codes, film
from tests.core.reading.standard import Display


@pytest.mark.parametrize(
    ("elements", "display", "warnings"),
    [
        (
            {"WindowCenter": [1000, 2000], "WindowWidth": [500, 4000]},
            Display(center=1000, width=500),
            {"several_windows"},
        ),
        (
            {"WindowCenter": [1000, 2000], "WindowWidth": [0, 4000]},
            Display(center=2000, width=4000),
            {"window_invalid"},
        ),
        (
            {"WindowCenter": ["", "2000"], "WindowWidth": ["500", "4000"]},
            Display(center=2000, width=4000),
            {"window_invalid"},
        ),
        (
            {"WindowCenter": ["1000", "2000"], "WindowWidth": ["", "4000"]},
            Display(center=2000, width=4000),
            {"window_invalid"},
        ),
        (
            {"WindowCenter": ["1000", ""], "WindowWidth": ["500", ""]},
            Display(center=1000, width=500),
            set(),
        ),
        (
            {"WindowCenter": 1000, "WindowWidth": "0.5", "VOILUTFunction": "LINEAR_EXACT"},
            Display(center=1000, width=0.5, function="LINEAR_EXACT"),
            set(),
        ),
        (
            {"WindowCenter": 1000, "WindowWidth": 1},
            Display(center=1000, width=1),
            set(),
        ),
        (
            {"WindowCenter": 2000, "WindowWidth": 4000, "VOILUTFunction": "CUBIC"},
            Display(center=2000, width=4000),
            {"voi_function_unknown"},
        ),
    ],
)
def test_windows_that_are_several_or_strange(
    elements: Elements, display: Display, warnings: set[str]
) -> None:
    radiograph = film(elements)
    assert np.abs(radiograph.pixels - display(PIXELS)).max() <= 2e-6
    assert codes(radiograph) == warnings


@pytest.mark.parametrize(
    ("elements", "warnings"),
    [
        (BARE, {"no_window"}),
        ({"WindowWidth": None}, {"no_window"}),
        ({"WindowCenter": "2048", "WindowWidth": ["", "4096"]}, {"no_window", "window_invalid"}),
        ({"WindowWidth": 0}, {"no_window", "window_invalid"}),
        ({"WindowWidth": "0.5"}, {"no_window", "window_invalid"}),
        ({"WindowCenter": -30_000}, {"window_ignored"}),
    ],
)
def test_without_a_usable_window_one_is_chosen(elements: Elements, warnings: set[str]) -> None:
    radiograph = film(elements)
    assert codes(radiograph) == warnings
    assert (radiograph.pixels.min(), radiograph.pixels.max()) == (0, 1)
    order = np.argsort(PIXELS, axis=None)
    assert (np.diff(radiograph.pixels.ravel()[order]) >= 0).all()


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_lookup_table_without_anything_in_it_is_none(keyword: str) -> None:
    assert np.array_equal(film({keyword: [Dataset()]}).pixels, film({}).pixels)


@pytest.mark.parametrize(
    ("photometric", "shape", "warnings"),
    [
        ("MONOCHROME1", "INVERSE", set()),
        ("MONOCHROME2", "IDENTITY", set()),
        ("MONOCHROME1", "IDENTITY", {"lut_shape_disagrees"}),
        ("MONOCHROME2", "INVERSE", {"lut_shape_disagrees"}),
    ],
)
def test_an_inverse_shape_is_no_second_inversion(
    photometric: str, shape: str, warnings: set[str]
) -> None:
    radiograph = film({"PhotometricInterpretation": photometric, "PresentationLUTShape": shape})
    inverted = photometric == "MONOCHROME1"
    expected = Display(center=2048, width=4096, inverted=inverted)(PIXELS)
    assert np.abs(radiograph.pixels - expected).max() <= 2e-6
    assert codes(radiograph) == warnings


def test_the_sign_of_raw_values_decides_where_bone_would_be_dark() -> None:
    raw: Elements = {"PixelIntensityRelationship": "LIN", "PixelIntensityRelationshipSign": 1}
    allowed = ReadingOptions(allow_for_processing=True)
    plain = film({})
    turned = film(raw | {"PresentationIntentType": "FOR PROCESSING"}, options=allowed)
    assert np.abs(turned.pixels - (1 - plain.pixels)).max() <= 2e-6
    shown = film(raw)
    assert np.array_equal(shown.pixels, plain.pixels)
    assert codes(shown) == {"intensity_sign_disagrees"}
