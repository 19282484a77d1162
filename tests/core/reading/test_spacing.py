"""How large a pixel is."""

from __future__ import annotations

import pytest

from tests.core.reading.films import Elements, codes, film


@pytest.mark.parametrize(
    ("elements", "spacing_mm", "warnings"),
    [
        ({"PixelSpacing": ["0.2", "0.3"]}, (0.2, 0.3), {"pixels_not_square"}),
        ({"PixelSpacing": ["0.000", "0.000"]}, None, {"spacing_unknown"}),
        ({"PixelSpacing": ["-1", "0.2"]}, None, {"spacing_unknown"}),
        ({"PixelSpacing": ["0.2", "0.2"], "ImagerPixelSpacing": [0.1, 0.1]}, (0.2, 0.2), set()),
        (
            {"ImagerPixelSpacing": ["0.2", "0.2"], "PixelSpacing": None},
            (0.2, 0.2),
            {"spacing_at_detector"},
        ),
        (
            {
                "ImagerPixelSpacing": ["0.3", "0.3"],
                "PixelSpacing": None,
                "EstimatedRadiographicMagnificationFactor": "1.2",
            },
            (0.25, 0.25),
            set(),
        ),
        (
            {
                "ImagerPixelSpacing": ["0.3", "0.3"],
                "PixelSpacing": ["0", "0"],
                "DistanceSourceToDetector": "1800",
                "DistanceSourceToPatient": "1500",
            },
            (0.25, 0.25),
            set(),
        ),
        (
            {
                "ImagerPixelSpacing": ["0.3", "0.3"],
                "PixelSpacing": None,
                "EstimatedRadiographicMagnificationFactor": "0",
                "DistanceSourceToDetector": "1800",
                "DistanceSourceToPatient": "1500",
            },
            (0.25, 0.25),
            set(),
        ),
        ({"PixelSpacing": ["0.0005", "0.0005"]}, None, {"spacing_unknown"}),
        ({"PixelSpacing": ["101", "101"]}, None, {"spacing_unknown"}),
        ({"PixelSpacing": ["0.001", "100"]}, (0.001, 100), {"pixels_not_square"}),
        (
            {"PixelSpacing": ["1e300", "1e300"], "ImagerPixelSpacing": ["0.2", "0.2"]},
            (0.2, 0.2),
            {"spacing_at_detector"},
        ),
        (
            {"PixelSpacing": None, "NominalScannedPixelSpacing": ["0.17", "0.17"]},
            (0.17, 0.17),
            set(),
        ),
        ({"PixelSpacing": None}, None, {"spacing_unknown"}),
    ],
)
def test_sources_in_their_documented_order(
    elements: Elements,
    spacing_mm: tuple[float, float] | None,
    warnings: set[str],
) -> None:
    radiograph = film(elements)
    assert radiograph.spacing_mm == pytest.approx(spacing_mm)
    assert codes(radiograph) == warnings


def test_the_aspect_ratio_is_kept_where_the_spacing_is_not() -> None:
    radiograph = film({"PixelSpacing": None, "PixelAspectRatio": [3, 2]})
    assert radiograph.pixel_aspect_ratio == 1.5
    assert codes(radiograph) == {"spacing_unknown", "pixels_not_square"}
