"""An explanation as SVG, for viewers that show the film themselves and lay this over it.

It holds no pixel of the film. Coordinates are those of the original picture.
"""

from __future__ import annotations

import base64
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from pacx.preprocessing import Geometry, upsample
from pacx.results import Explanation
from pacx_server.colours import scale_of
from pacx_server.legend import NOTICE
from pacx_server.outlines import COLOURS, Outline
from pacx_server.overlay import Style, Subject
from pacx_server.png import encode_png
from pacx_server.rendering import value_range

_HEAT_SIDE_PX = 448
"""Side of the map inside the SVG; it is linear between its cells, so more would show no more."""


def draw_svg(subject: Subject, style: Style) -> bytes:
    """Draw map, outlines and caption of an explanation, without the film.

    Raises:
        UnusableImage: ``crop`` is ``thorax``, and heart and lungs were not found.
    """
    geometry = subject.explanation.geometry
    box = subject.box(style.crop) if style.crop == "thorax" else None
    left, top, right, bottom = box or (0, 0, geometry.columns, geometry.rows)
    caption = escape(f"{subject.title} · {NOTICE}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left} {top} {right - left} '
        f'{bottom - top}" preserveAspectRatio="none">',
        f"<title>{caption}</title><desc>{escape('; '.join(subject.notes))}</desc>",
        _heat(subject.explanation, style.opacity) if style.opacity else "",
        *(_path(outline) for outline in subject.outlines(style)),
        _caption(caption, left, bottom, min(right - left, bottom - top)) if style.legend else "",
        "</svg>",
    ]
    return "".join(parts).encode()


def _heat(explanation: Explanation, opacity: float) -> str:
    picture = _coloured(explanation.grid, signed=explanation.signed)
    data = base64.b64encode(encode_png(picture)).decode()
    return (
        f'<image width="{explanation.geometry.columns}" height="{explanation.geometry.rows}" '
        f'preserveAspectRatio="none" opacity="{opacity:g}" href="data:image/png;base64,{data}"/>'
    )


def _coloured(grid: NDArray[np.float32], *, signed: bool) -> NDArray[np.uint8]:
    """The map as uint8 ``[side, side, 4]``; its alpha is how much it covers at full opacity."""
    low, high = value_range(grid, signed=signed)
    side = _HEAT_SIDE_PX
    spread = upsample(grid, Geometry(rows=side, columns=side, size=side))
    span = high - low if high > low else 1.0
    levels = np.rint((spread - low) * (255 / span)).astype(np.uint8)
    scale = scale_of(signed=signed)
    alpha = np.rint(scale.strengths * 255).astype(np.uint8)
    return np.concatenate([scale.colours[levels], alpha[levels][..., np.newaxis]], axis=2)


def _path(outline: Outline) -> str:
    corners = "L".join(f"{column:g} {row:g}" for column, row in outline.points)
    colour = "#{:02x}{:02x}{:02x}".format(*COLOURS[outline.name])
    return (
        f'<path class={quoteattr(outline.name)} d="M{corners}{"Z" * outline.closed}" fill="none" '
        f'stroke="{colour}" stroke-width="2" vector-effect="non-scaling-stroke"/>'
    )


def _caption(text: str, left: int, bottom: int, side: int) -> str:
    size = max(round(side / 45), 8)
    place = f'x="{left + size}" y="{bottom - size}" font-size="{size}"'
    return (
        f'<text {place} font-family="sans-serif" fill="#ebebeb" stroke="#0c0c0e" '
        f'stroke-width="{size / 6:g}" paint-order="stroke">{text}</text>'
    )
