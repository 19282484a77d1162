"""Distance between pixels in the patient, as far as a projection radiograph knows it."""

from __future__ import annotations

import math

from pacx.radiograph import ImageWarning
from pacx.reading import tags
from pacx.reading.values import Values

Spacing = tuple[float, float]

_UNKNOWN = ImageWarning("spacing_unknown", "The file states no usable pixel spacing.")
_AT_DETECTOR = ImageWarning(
    "spacing_at_detector",
    "The pixel spacing is that of the detector, not corrected for magnification.",
)
_NOT_SQUARE = ImageWarning("pixels_not_square", "The pixels are not square.")
_SQUARE_WITHIN = 0.01
_SMALLEST_MM, _LARGEST_MM = 0.001, 100.0


def read_spacing(values: Values) -> tuple[Spacing | None, list[ImageWarning]]:
    """Distance between rows and between columns in mm.

    The first usable one of Pixel Spacing (PS3.3 section 10.7.1.3), Imager Pixel Spacing divided
    by the magnification (section C.8.11.7) and Nominal Scanned Pixel Spacing (section C.8.14.1).
    What no pixel of a film can have is unknown.
    """
    spacing = _spacing(values, tags.PIXEL_SPACING)
    if spacing is not None:
        return spacing, []
    detector = _spacing(values, tags.IMAGER_PIXEL_SPACING)
    if detector is not None:
        factor = _magnification(values)
        warnings = [] if factor is not None else [_AT_DETECTOR]
        return (detector[0] / (factor or 1.0), detector[1] / (factor or 1.0)), warnings
    scanned = _spacing(values, tags.NOMINAL_SCANNED_PIXEL_SPACING)
    return scanned, [] if scanned is not None else [_UNKNOWN]


def read_aspect_ratio(values: Values, spacing: Spacing | None) -> tuple[float, list[ImageWarning]]:
    """Height of a pixel divided by its width (PS3.3 section C.7.6.3.1.7)."""
    pair = spacing or _pair(values, tags.PIXEL_ASPECT_RATIO) or (1.0, 1.0)
    ratio = pair[0] / pair[1]
    return ratio, [] if abs(ratio - 1) <= _SQUARE_WITHIN else [_NOT_SQUARE]


def _spacing(values: Values, tag: int) -> Spacing | None:
    pair = _pair(values, tag)
    if pair is None or not _SMALLEST_MM <= min(pair) <= max(pair) <= _LARGEST_MM:
        return None
    return pair


def _pair(values: Values, tag: int) -> Spacing | None:
    pair = values.decimals(tag)
    if len(pair) == 2 and all(math.isfinite(part) and part > 0 for part in pair):
        return pair[0], pair[1]
    return None


def _magnification(values: Values) -> float | None:
    """Estimated factor, else source-detector over source-patient distance (section C.8.7.5)."""
    factor = values.decimal(tags.MAGNIFICATION)
    if factor is None or not _magnifies(factor):
        detector = values.decimal(tags.DISTANCE_SOURCE_TO_DETECTOR)
        patient = values.decimal(tags.DISTANCE_SOURCE_TO_PATIENT)
        factor = detector / patient if detector and patient else None
    return factor if factor is not None and _magnifies(factor) else None


def _magnifies(factor: float) -> bool:
    return math.isfinite(factor) and factor >= 1
