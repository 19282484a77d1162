"""The legend of an overlay: colour scale, its two numbers, and what one is looking at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pacx_server.colours import GROUND, Colours, ColourScale

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


def legend_strip(size: tuple[int, int], legend: Legend) -> Colours | None:
    """What a legend covers of the lower left corner, uint8 ``[rows, columns, 3]``.

    Markers of the side stand in the upper corners of a film and are left alone. Text shrinks
    until it fits; on small films it is broken into lines, and on smaller ones the notice alone
    stands there. Only where that would become unreadable nothing does, which is None.

    Args:
        size: Columns and rows of the picture.
        legend: What it says.
    """
    strip = _fitting_strip(size, legend)
    return None if strip is None else np.asarray(strip)


def _fitting_strip(size: tuple[int, int], legend: Legend) -> Image.Image | None:
    width, height = size
    lines = [f"{legend.title} · {NOTICE}" if legend.title else NOTICE, *legend.notes]
    for text_px in range(max(round(min(size) / 60), 11), _SMALLEST_TEXT_PX - 1, -1):
        strip = _strip(text_px, lines, legend)
        if strip.height * 4 <= height and strip.width <= width:
            return strip
    broken = [part for line in lines for part in _broken(line, width)]
    for strip in (_strip(_SMALLEST_TEXT_PX, broken, legend), _lines(_SMALLEST_TEXT_PX, [NOTICE])):
        if strip.height * 2 <= height and strip.width <= width:
            return strip
    return None


def _broken(line: str, width: int) -> list[str]:
    """A line in the smallest text, broken between words so that it fits where it can."""
    font, room = ImageFont.load_default(_SMALLEST_TEXT_PX), width - _SMALLEST_TEXT_PX
    lines: list[str] = []
    for word in line.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _lines(size: int, lines: Sequence[str]) -> Image.Image:
    """Lines of text in a given size."""
    font, padding, step = ImageFont.load_default(size), size // 2, round(1.5 * size)
    width = max(round(font.getlength(line)) for line in lines) + 2 * padding
    strip = Image.new("RGB", (width, padding + step * len(lines) + padding // 2), GROUND)
    draw = ImageDraw.Draw(strip)
    for place, line in enumerate(lines):
        draw.text((padding, padding + step * place), line, _TEXT, font)
    return strip


def _strip(size: int, lines: Sequence[str], legend: Legend) -> Image.Image:
    """The legend in a given text size: lines of text, and the scale between its numbers."""
    font, text = ImageFont.load_default(size), _lines(size, lines)
    span = legend.high - legend.low
    numbers = (_number(legend.low, span), _number(legend.high, span))
    padding, bar, step = size // 2, size * 9, round(1.5 * size)
    first, second = (round(font.getlength(number)) for number in numbers)
    width = max(text.width, first + bar + second + 4 * padding)
    lower = padding + step * len(lines)
    strip = Image.new("RGB", (width, lower + step + padding // 2), GROUND)
    strip.paste(text)
    draw = ImageDraw.Draw(strip)
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
