"""A DICOM file to a radiograph."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from pacx.radiograph import ImageWarning, Radiograph, check_usable, has_contrast
from pacx.reading import tags
from pacx.reading.colour import CONVERTED, luminance, palette_luminance
from pacx.reading.content import Content
from pacx.reading.decoders import library
from pacx.reading.gate import read_gate
from pacx.reading.grey_scale import GreyScale
from pacx.reading.limits import ReadingLimits, ReadingOptions
from pacx.reading.lookup_table import LookupTable
from pacx.reading.modality import Modality, read_modality
from pacx.reading.part10 import open_part10
from pacx.reading.picture import Picture, check_has_pixels, read_picture
from pacx.reading.polarity import read_padding, read_polarity
from pacx.reading.robust_range import robust_window
from pacx.reading.spacing import read_aspect_ratio, read_spacing
from pacx.reading.stored_pixels import StoredPixels, stored_pixels
from pacx.reading.values import Values
from pacx.reading.voi import read_voi

Displayed = tuple[NDArray[np.float32], list[ImageWarning]]

_NO_WINDOW = ImageWarning(
    "no_window", "The file states no usable window; one was chosen from its values."
)
_WINDOW_IGNORED = ImageWarning(
    "window_ignored", "The file's window shows no contrast; one was chosen from its values."
)


def read_dicom(content: Content, limits: ReadingLimits, options: ReadingOptions) -> Radiograph:
    """Read one single-frame projection radiograph.

    Raises:
        InputError: One of its classes, for every file that cannot be read or used.
    """
    file = open_part10(content, tags.WANTED, limits)
    values = file.values
    check_has_pixels(values)
    modality, view, gate_warnings = read_gate(values, options)
    picture = read_picture(values, limits)
    spacing_mm, spacing_warnings = read_spacing(values)
    aspect_ratio, aspect_warnings = read_aspect_ratio(values, spacing_mm)
    pixels, display_warnings = _display(stored_pixels(file, picture, limits), picture, values)
    check_usable(pixels)
    return Radiograph(
        pixels=pixels,
        source="dicom",
        spacing_mm=spacing_mm,
        pixel_aspect_ratio=aspect_ratio,
        view=view,
        modality=modality,
        decoder=library(file.syntax.compression),
        warnings=(*gate_warnings, *spacing_warnings, *aspect_warnings, *display_warnings),
    )


def _display(pixels: StoredPixels, picture: Picture, values: Values) -> Displayed:
    if picture.photometric == "PALETTE COLOR":
        return palette_luminance(values, pixels.stored.cut(pixels.codes)), [CONVERTED]
    if picture.samples > 1:
        samples = pixels.stored.cut(pixels.codes)
        return luminance(samples, picture.photometric, pixels.stored.bits), [CONVERTED]
    return _display_grey(pixels, picture, values)


def _display_grey(pixels: StoredPixels, picture: Picture, values: Values) -> Displayed:
    modality = read_modality(values, signed=picture.signed)
    voi, voi_warnings = read_voi(values, signed=_can_be_negative(modality, picture))
    inverted, polarity_warnings = read_polarity(values, picture.photometric)
    padding = read_padding(values, signed=picture.signed)
    warnings = [*voi_warnings, *polarity_warnings]
    grey_scale = partial(
        GreyScale, stored=pixels.stored, modality=modality, inverted=inverted, padding=padding
    )
    if voi is not None:
        shown = grey_scale(voi=voi).apply(pixels.codes)
        if has_contrast(shown):
            return shown, warnings
    robust = robust_window(pixels.codes, pixels.stored, modality, padding, values)
    warnings.append(_NO_WINDOW if voi is None else _WINDOW_IGNORED)
    return grey_scale(voi=robust).apply(pixels.codes), warnings


def _can_be_negative(modality: Modality, picture: Picture) -> bool:
    if isinstance(modality, LookupTable):
        return False
    return picture.signed or modality.slope < 0 or modality.intercept < 0
