"""Pictures of what a model looked at: a heat map over the film, on the film's own pixels.

Pure functions on arrays. Nothing that was read from a file's header is ever drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pacx.preprocessing import Geometry, upsample
from pacx_server.colours import blend_table
from pacx_server.legend import NOTICE, draw_legend
from pacx_server.png import encode_png


def to_display(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Turn a radiograph's pixels in [0, 1] into grey levels in [0, 255]."""
    return np.asarray(pixels * 255 + np.float32(0.5)).astype(np.uint8)


def render_overlay(
    display: NDArray[np.uint8],
    grid: NDArray[np.float32],
    geometry: Geometry,
    *,
    opacity: float = 0.5,
    legend: bool = True,
    title: str = "",
) -> bytes:
    """Draw a map over its film, as a PNG of exactly the film's size.

    The map is coloured between its own minimum and maximum; a constant map colours nothing.

    Args:
        display: The windowed film, uint8 ``[rows, columns]``.
        grid: float32 ``[grid_rows, grid_columns]`` on the model's grid.
        geometry: The way from the grid to the film's pixels.
        opacity: Of the hottest colour, in [0, 1]; 0 without a legend is the film itself, grey.
        legend: Whether to draw the colour scale, its numbers and the texts in a corner.
        title: Model, method and target; it also goes into the file's own description.
    """
    text = {"Title": title, "Disclaimer": NOTICE, "Software": "PaCX"}
    if opacity == 0 and not legend:
        return encode_png(display, text)
    picture = _blend(display, upsample(_levels(grid), geometry), opacity)
    if legend:
        draw_legend(picture, float(grid.min()), float(grid.max()), title)
    return encode_png(picture, text)


def _levels(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spread a map over the levels 0.5 .. 255.5, ready to be cut down to whole ones."""
    low, high = float(grid.min()), float(grid.max())
    span = high - low if high > low else 1.0
    return ((grid - low) * (255.0 / span) + 0.5).astype(np.float32)


def _blend(
    display: NDArray[np.uint8], levels: NDArray[np.float32], opacity: float
) -> NDArray[np.uint8]:
    """Mix film and heat, uint8 ``[rows, columns, 3]``, by one look-up for each pixel."""
    index = levels.astype(np.uint16)
    index <<= np.uint16(8)
    index |= display
    size = (display.shape[1], display.shape[0])
    mixed = blend_table(opacity)[index]
    # Pillow drops the unused fourth byte several times faster than a strided copy does.
    return np.array(Image.frombytes("RGB", size, mixed.tobytes(), "raw", "RGBX"))
