"""Pictures of what a model looked at: a heat map over the film, on the film's own pixels.

Pure functions on arrays. Nothing that was read from a file's header is ever drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pacx.preprocessing import Geometry, upsample
from pacx_server.colours import Colours, scale_of
from pacx_server.legend import NOTICE, Legend, legend_strip
from pacx_server.outlines import INKS, Box, Outline, inked
from pacx_server.png import encode_bands, encode_png

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
    shown = np.s_[upper:lower, left:right]
    if opacity == 0 and not decoration.legend and not decoration.outlines:
        return encode_png(np.ascontiguousarray(display[shown]), text)
    low, high = value_range(grid, signed=signed)
    size = (right - left, lower - upper)
    legend = _legend(decoration, low, high, signed=signed)
    layers = _Layers(
        film=display[shown],
        levels=upsample(_levels(grid, low, high), geometry)[shown],
        table=_mixtures(opacity, signed=signed),
        ink=inked(decoration.outlines, display.shape)[shown] if decoration.outlines else None,
        strip=legend_strip(size, legend) if decoration.legend else None,
    )
    return encode_bands((*layers.film.shape, 3), layers.rows, text)


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


@lru_cache(maxsize=8)
def _mixtures(opacity: float, *, signed: bool) -> NDArray[np.uint32]:
    """The mixtures of the few opacities that are asked for; a quarter of a megabyte each."""
    return scale_of(signed=signed).blend_table(opacity)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layers:
    """What a picture is put together from, of its size unless said otherwise.

    Attributes:
        film: uint8, grey.
        levels: float32, the map's, in 0.5 .. 255.5.
        table: All mixtures of a level and a grey, as ``ColourScale.blend_table``.
        ink: uint8, indices of the outlines' colours, 0 where there is none; or None.
        strip: uint8 ``[rows, columns, 3]``, the legend of the lower left corner; or None.
    """

    film: Display
    levels: Grid
    table: NDArray[np.uint32]
    ink: NDArray[np.uint8] | None
    strip: Colours | None

    def rows(self, start: int, stop: int) -> Colours:
        """Some rows of the picture, RGB; few enough of them stay in the processor's cache."""
        index = self.levels[start:stop].astype(np.uint16)
        index <<= np.uint16(8)
        index |= self.film[start:stop]
        # Every index is in the table; numpy looks up twice as fast where it need not raise.
        picture = _packed(self.table.take(index, mode="clip"))
        if self.ink is not None:
            ink = self.ink[start:stop].ravel()
            drawn = np.flatnonzero(ink != 0)
            picture.reshape(-1, 3)[drawn] = INKS[ink[drawn]]
        if self.strip is not None:
            first = len(self.film) - len(self.strip)
            lines = self.strip[max(start - first, 0) : max(stop - first, 0)]
            picture[len(picture) - len(lines) :, : lines.shape[1]] = lines
        return picture


def _packed(mixture: NDArray[np.uint32]) -> Colours:
    """RGB from pixels whose fourth byte is unused; Pillow is several times faster than a copy."""
    rows, columns = mixture.shape
    picture = Image.frombuffer("RGBA", (columns, rows), mixture, "raw", "RGBA", 0, 1)
    packed = bytearray(picture.tobytes("raw", "RGB"))
    return np.frombuffer(packed, np.uint8).reshape(rows, columns, 3)
