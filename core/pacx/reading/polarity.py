"""Which end of the grey scale is displayed bright, and which values are no picture at all."""

from __future__ import annotations

from pacx.radiograph import ImageWarning
from pacx.reading import tags
from pacx.reading.values import Values

Padding = tuple[int, int]

_SHAPE_DISAGREES = ImageWarning(
    "lut_shape_disagrees",
    "Presentation LUT Shape contradicts the photometric interpretation, which was followed.",
)
_SIGN_DISAGREES = ImageWarning(
    "intensity_sign_disagrees",
    "By Pixel Intensity Relationship Sign bone would be dark; the file's own display was followed.",
)
_EXPECTED_SHAPE = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}
_RAW_INTENSITY = ("LIN", "LOG")


def read_polarity(values: Values, photometric: str) -> tuple[bool, list[ImageWarning]]:
    """Whether the lowest displayed value is white.

    MONOCHROME1 says so (PS3.3 section C.7.6.3.1.2). Presentation LUT Shape INVERSE accompanies it
    (section C.11.6.1) and is no second inversion; where the two disagree, the photometric
    interpretation wins.

    Raw values (FOR PROCESSING, which only an option lets through) have no display of their own:
    there Pixel Intensity Relationship Sign decides (section C.8.11.3.1.2), so that bone is bright.
    """
    inverted = photometric == "MONOCHROME1"
    shape = values.text(tags.PRESENTATION_LUT_SHAPE)
    warnings = [] if shape in (None, _EXPECTED_SHAPE[photometric]) else [_SHAPE_DISAGREES]
    dark_bone = _bone_is_low(values)
    if dark_bone is None or dark_bone == inverted:
        return inverted, warnings
    if values.text(tags.PRESENTATION_INTENT_TYPE) == "FOR PROCESSING":
        return dark_bone, warnings
    return inverted, [*warnings, _SIGN_DISAGREES]


def _bone_is_low(values: Values) -> bool | None:
    """Whether dense tissue has the low values; None where the file does not say.

    The sign is -1 where higher values mean less X-ray intensity, that is, denser tissue.
    """
    if values.text(tags.PIXEL_INTENSITY_RELATIONSHIP) not in _RAW_INTENSITY:
        return None
    sign = values.integer(tags.PIXEL_INTENSITY_RELATIONSHIP_SIGN)
    return {1: True, 0xFFFF: False}.get(sign) if sign is not None else None


def read_padding(values: Values, *, signed: bool) -> Padding | None:
    """First and last stored value of padding pixels (PS3.3 section C.7.5.1.1.2), or None."""
    value = values.integer(tags.PIXEL_PADDING_VALUE)
    if value is None:
        return None
    limit = values.integer(tags.PIXEL_PADDING_RANGE_LIMIT)
    ends = sorted(_signed(end, signed) for end in (value, value if limit is None else limit))
    return ends[0], ends[1]


def _signed(word: int, signed: bool) -> int:
    return word - (1 << 16) if signed and word >= 1 << 15 else word
