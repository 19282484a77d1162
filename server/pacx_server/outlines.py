"""Outlines of heart and lungs and the lines of the cardiothoracic ratio, as points and as strokes.

Points are ``[column, row]`` in pixels of the original picture.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pacx.anatomy import Anatomy
from pacx.contours import Polygon, contours
from pacx.errors import MalformedRequest
from pacx.masks import Mask, thorax
from pacx.measures import HorizontalLine
from pacx.preprocessing import Geometry
from pacx_server.schemas import Contours, Points, RatioLines

OutlineName = Literal["heart", "lungs", "ratio"]
OUTLINES: tuple[OutlineName, ...] = get_args(OutlineName)
COLOURS: dict[OutlineName, tuple[int, int, int]] = {
    "heart": (127, 212, 255),
    "lungs": (223, 230, 236),
    "ratio": (143, 240, 180),
}
"""As in the viewer's style sheet."""
INKS = np.array([(0, 0, 0), *(COLOURS[name] for name in OUTLINES)], np.uint8)
"""uint8 ``[4, 3]``: nothing, then the colours in the order of ``OUTLINES``."""
MARGIN = 0.04
"""What is left around the thorax when a picture is cropped to it, in picture sides."""

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One polyline over a film.

    Attributes:
        name: What it belongs to.
        points: Its corners.
        closed: Whether the last is joined with the first.
    """

    name: OutlineName
    points: Points
    closed: bool


def parse_outlines(text: str) -> frozenset[OutlineName]:
    """Read names that are separated by commas; an empty text names none.

    Raises:
        MalformedRequest: There is no such outline.
    """
    names = frozenset(filter(None, text.split(",")))
    if not names <= {*OUTLINES}:
        raise MalformedRequest(f"Outlines are any of {', '.join(OUTLINES)}.")
    return frozenset(name for name in OUTLINES if name in names)


def contours_of(anatomy: Anatomy, geometry: Geometry) -> Contours:
    """Trace heart and lungs, where they look like them."""
    if not anatomy.plausible:
        return Contours(heart=[], right_lung=[], left_lung=[])
    polygons = map(_points, contours(anatomy.masks, geometry))
    heart, right, left = ([points] if points else [] for points in polygons)
    return Contours(heart=heart, right_lung=right, left_lung=left)


def lines_of(anatomy: Anatomy) -> RatioLines | None:
    """The two lines of the cardiothoracic ratio, where it was measured."""
    ratio = anatomy.cardiothoracic
    return RatioLines(heart=_ends(ratio.heart), chest=_ends(ratio.chest)) if ratio else None


def outlines_of(
    anatomy: Anatomy, geometry: Geometry, wanted: Collection[OutlineName]
) -> list[Outline]:
    """Everything of an anatomy that can be drawn and is wanted; nothing if it is implausible."""
    if not anatomy.plausible:
        return []
    contours, lines = contours_of(anatomy, geometry), lines_of(anatomy)
    lungs = [*contours.right_lung, *contours.left_lung]
    found = [Outline(name="lungs", points=points, closed=True) for points in lungs]
    found += [Outline(name="heart", points=points, closed=True) for points in contours.heart]
    if lines is not None:
        pair = (lines.chest, lines.heart)
        found += [Outline(name="ratio", points=points, closed=False) for points in pair]
    return [outline for outline in found if outline.name in wanted]


def inked(outlines: Sequence[Outline], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Draw outlines on nothing.

    Args:
        outlines: Later ones cover earlier ones.
        shape: Rows and columns of the film.

    Returns:
        uint8 ``[rows, columns]``: an index into ``INKS``, 0 where no outline is.
    """
    picture = Image.new("L", (shape[1], shape[0]))
    width = max(2, round(min(shape) / 400))
    draw = ImageDraw.Draw(picture)
    for outline in outlines:
        points = outline.points + outline.points[:1] * outline.closed
        draw.line(points, OUTLINES.index(outline.name) + 1, width, joint="curve")
    return np.asarray(picture)


def thorax_box(anatomy: Anatomy, geometry: Geometry) -> Box:
    """Where heart and lungs lie in the original picture, with a margin around them."""
    chest = thorax(anatomy.masks)
    top, bottom = _span(np.asarray(chest.any(axis=1)), geometry.rows)
    left, right = _span(np.asarray(chest.any(axis=0)), geometry.columns)
    return left, top, right, bottom


def _span(inside: Mask, pixels: int) -> tuple[int, int]:
    """From the first to the last true of a line, widened, in ``pixels`` of the original."""
    found = np.flatnonzero(inside)
    start, stop = found[0] / len(inside) - MARGIN, (found[-1] + 1) / len(inside) + MARGIN
    return max(0, int(start * pixels)), min(pixels, int(np.ceil(stop * pixels)))


def _points(polygon: Polygon) -> Points:
    return [(column, row) for row, column in np.round(polygon, 1).tolist()]


def _ends(line: HorizontalLine) -> Points:
    return [(round(column, 1), round(line.row, 1)) for column in (line.start, line.stop)]
