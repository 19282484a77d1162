"""The legend of an overlay: colour scale, its two numbers, and what one is looking at."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pacx_server.colours import colour_map

NOTICE = "Not for clinical use"
_SMALLEST_TEXT_PX = 8
_TEXT = (235, 235, 235)
_BACKGROUND = (12, 12, 14)


def draw_legend(picture: NDArray[np.uint8], low: float, high: float, title: str) -> None:
    """Draw the legend into the lower left corner, in place.

    Text shrinks until it fits; where it would become unreadable the legend is left out, since
    a caption larger than the film would hide it.

    Args:
        picture: uint8 ``[rows, columns, 3]``.
        low: The map's value at the lower end of the scale.
        high: The map's value at the upper end.
        title: Model, method and target.
    """
    strip = _fitting_strip(picture.shape[0], picture.shape[1], low, high, title)
    if strip is not None:
        rows, columns = strip.shape[:2]
        picture[-rows:, :columns] = strip


def _fitting_strip(
    rows: int, columns: int, low: float, high: float, title: str
) -> NDArray[np.uint8] | None:
    size = max(round(min(rows, columns) / 60), 11)
    while size >= _SMALLEST_TEXT_PX:
        strip = _strip(size, low, high, title)
        if strip.shape[0] * 4 <= rows and strip.shape[1] <= columns:
            return strip
        size -= 1
    return None


def _strip(size: int, low: float, high: float, title: str) -> NDArray[np.uint8]:
    """The legend in a given text size: two lines of text, the scale between its numbers."""
    font = ImageFont.load_default(size)
    first = f"{title} · {NOTICE}" if title else NOTICE
    numbers = (_number(low, high - low), _number(high, high - low))
    padding, bar = size // 2, size * 9
    widths = [round(font.getlength(line)) for line in (first, *numbers)]
    width = max(widths[0], widths[1] + bar + widths[2] + 2 * padding) + 2 * padding
    strip = Image.new("RGB", (width, 3 * size + 2 * padding), _BACKGROUND)
    draw = ImageDraw.Draw(strip)
    lower = padding + round(1.7 * size)
    draw.text((padding, padding), first, _TEXT, font)
    draw.text((padding, lower), numbers[0], _TEXT, font)
    draw.text((padding * 3 + widths[1] + bar, lower), numbers[1], _TEXT, font)
    strip.paste(_scale(bar, size), (padding * 2 + widths[1], lower + size // 8))
    return np.asarray(strip)


def _number(value: float, span: float) -> str:
    """A value with as many decimals as tell the hundredth part of the scale."""
    decimals = max(0, 2 - math.floor(math.log10(span))) if span > 0 else 3
    return f"{value:.{min(decimals, 9)}f}"


def _scale(width: int, height: int) -> Image.Image:
    row = Image.fromarray(colour_map()[np.newaxis])
    return row.resize((width, height), Image.Resampling.NEAREST)
