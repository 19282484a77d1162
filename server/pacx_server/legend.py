"""The legend of an overlay: colour scale, its two numbers, and what one is looking at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pacx_server.colours import GROUND, ColourScale

NOTICE = "Not for clinical use"
_SMALLEST_TEXT_PX = 8
_TEXT = (235, 235, 235)


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """What a legend says.

    Attributes:
        scale: How the map is coloured.
        low: The map's value at the lower end of the scale.
        high: The map's value at the upper end.
        title: Model, method and target.
        notes: Further lines of text.
    """

    scale: ColourScale
    low: float
    high: float
    title: str
    notes: Sequence[str] = ()


def draw_legend(picture: Image.Image, legend: Legend) -> None:
    """Draw a legend into the lower left corner, in place.

    Markers of the side stand in the upper corners of a film and are left alone. Text shrinks
    until it fits; where it would become unreadable the legend is left out, since a caption larger
    than the film would hide it.
    """
    strip = _fitting_strip(picture.size, legend)
    if strip is not None:
        picture.paste(strip, (0, picture.height - strip.height))


def _fitting_strip(size: tuple[int, int], legend: Legend) -> Image.Image | None:
    width, height = size
    text_px = max(round(min(size) / 60), 11)
    while text_px >= _SMALLEST_TEXT_PX:
        strip = _strip(text_px, legend)
        if strip.height * 4 <= height and strip.width <= width:
            return strip
        text_px -= 1
    return None


def _strip(size: int, legend: Legend) -> Image.Image:
    """The legend in a given text size: lines of text, and the scale between its numbers."""
    font = ImageFont.load_default(size)
    lines = [f"{legend.title} · {NOTICE}" if legend.title else NOTICE, *legend.notes]
    span = legend.high - legend.low
    numbers = (_number(legend.low, span), _number(legend.high, span))
    padding, bar, step = size // 2, size * 9, round(1.5 * size)
    first, second = (round(font.getlength(number)) for number in numbers)
    widest = max(round(font.getlength(line)) for line in lines)
    width = max(widest, first + bar + second + 2 * padding) + 2 * padding
    lower = padding + step * len(lines)
    strip = Image.new("RGB", (width, lower + step + padding // 2), GROUND)
    draw = ImageDraw.Draw(strip)
    for place, line in enumerate(lines):
        draw.text((padding, padding + step * place), line, _TEXT, font)
    draw.text((padding, lower), numbers[0], _TEXT, font)
    draw.text((padding * 3 + first + bar, lower), numbers[1], _TEXT, font)
    strip.paste(_bar(legend.scale, bar, size), (padding * 2 + first, lower + size // 8))
    return strip


def _number(value: float, span: float) -> str:
    """A value with as many decimals as tell the hundredth part of the scale."""
    decimals = max(0, 2 - math.floor(math.log10(span))) if span > 0 else 3
    return f"{value:.{min(decimals, 9)}f}"


def _bar(scale: ColourScale, width: int, height: int) -> Image.Image:
    row = Image.fromarray(scale.legend[np.newaxis])
    return row.resize((width, height), Image.Resampling.NEAREST)
