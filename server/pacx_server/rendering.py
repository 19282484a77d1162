"""Pictures of what a model looked at: a heat map over the film, on the film's own pixels.

Pure functions on arrays. Nothing that was read from a file's header is ever drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pacx.preprocessing import Geometry, upsample
from pacx_server.colours import scale_of
from pacx_server.legend import NOTICE, Legend, draw_legend
from pacx_server.outlines import Box, Outline, stroke
from pacx_server.png import encode_png

Grid = NDArray[np.float32]
Display = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoration:
    """What is drawn besides the map.

    Attributes:
        outlines: Over film and map.
        legend: Whether the colour scale, its numbers and the texts are drawn in a corner.
        title: Model, method and target; it also goes into the file's own description.
        notes: Further lines of the legend.
        box: The part of the film that is shown; None for all of it.
    """

    outlines: Sequence[Outline] = ()
    legend: bool = True
    title: str = ""
    notes: Sequence[str] = ()
    box: Box | None = None


PLAIN = Decoration()


def to_display(pixels: NDArray[np.float32]) -> Display:
    """Turn a radiograph's pixels in [0, 1] into grey levels in [0, 255]."""
    return np.asarray(pixels * 255 + np.float32(0.5)).astype(np.uint8)


def render_overlay(
    display: Display,
    grid: Grid,
    geometry: Geometry,
    *,
    signed: bool = False,
    opacity: float = 0.5,
    decoration: Decoration = PLAIN,
) -> bytes:
    """Draw a map over its film, as a PNG of exactly the film's size or of a part of it.

    A map is coloured between its own minimum and maximum, a signed one between equal distances
    from zero; a constant map without a sign colours nothing.

    Args:
        display: The windowed film, uint8 ``[rows, columns]``.
        grid: float32 ``[grid_rows, grid_columns]`` on the model's grid.
        geometry: The way from the grid to the film's pixels.
        signed: Whether zero is the middle of the scale.
        opacity: Of the strongest colour, in [0, 1]; 0 without decoration is the film itself, grey.
        decoration: What else is drawn.
    """
    text = {"Title": decoration.title, "Disclaimer": NOTICE, "Software": "PaCX"}
    left, upper, right, lower = decoration.box or (0, 0, display.shape[1], display.shape[0])
    if opacity == 0 and not decoration.legend and not decoration.outlines:
        return encode_png(np.ascontiguousarray(display[upper:lower, left:right]), text)
    low, high = value_range(grid, signed=signed)
    heat = upsample(_levels(grid, low, high), geometry)
    picture = _blend(display, heat, scale_of(signed=signed).blend_table(opacity))
    stroke(picture, decoration.outlines)
    if decoration.box is not None:
        picture = picture.crop(decoration.box)
    if decoration.legend:
        draw_legend(picture, _legend(decoration, low, high, signed=signed))
    return encode_png(np.asarray(picture), text)


def value_range(grid: Grid, *, signed: bool) -> tuple[float, float]:
    """What the two ends of the colour scale stand for."""
    low, high = float(grid.min()), float(grid.max())
    reach = max(-low, high) or 1.0
    return (-reach, reach) if signed else (low, high)


def _legend(decoration: Decoration, low: float, high: float, *, signed: bool) -> Legend:
    return Legend(
        scale=scale_of(signed=signed),
        low=low,
        high=high,
        title=decoration.title,
        notes=decoration.notes,
    )


def _levels(grid: Grid, low: float, high: float) -> Grid:
    """Spread a map over the levels 0.5 .. 255.5, ready to be cut down to whole ones."""
    span = high - low if high > low else 1.0
    return ((grid - low) * (255.0 / span) + 0.5).astype(np.float32)


def _blend(display: Display, levels: Grid, table: NDArray[np.uint32]) -> Image.Image:
    """Mix film and heat, RGB, by one look-up for each pixel."""
    index = levels.astype(np.uint16)
    index <<= np.uint16(8)
    index |= display
    size = (display.shape[1], display.shape[0])
    # Pillow drops the unused fourth byte several times faster than a strided copy does.
    return Image.frombytes("RGB", size, table[index].tobytes(), "raw", "RGBX")
