"""The colour scales of heat maps: readable by the colour-blind, and even in lightness.

The tables lie among the web files, so that pictures and the viewer are coloured by the same ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]
GROUND = (12, 12, 14)
"""What legends stand on."""


@dataclass(frozen=True, slots=True, eq=False)
class ColourScale:
    """How the levels 0 .. 255 of a map are coloured.

    Attributes:
        colours: uint8 ``[256, 3]``, low to high.
        strengths: float32 ``[256]`` in [0, 1], how much of the film each of them covers.
        legend: uint8 ``[256, 3]``, the scale as it is shown on its own.
    """

    colours: Colours
    strengths: NDArray[np.float32]
    legend: Colours

    def blend_table(self, opacity: float) -> NDArray[np.uint32]:
        """All mixtures of a heat level and a grey level, uint32 ``[256 * 256]``.

        The mixture of heat ``h`` and grey ``g`` stands at ``256 * h + g``; its bytes are red,
        green, blue and one that is unused. The heat's alpha is ``opacity * strengths[h]``, so
        that the film stays untouched where the map says nothing.

        Args:
            opacity: Of the strongest colour, in [0, 1].
        """
        alpha = (opacity * self.strengths)[:, np.newaxis, np.newaxis]
        heat = self.colours.astype(np.float32)[:, np.newaxis, :]
        grey = np.arange(256, dtype=np.float32)[np.newaxis, :, np.newaxis]
        mixture = np.zeros((256, 256, 4), dtype=np.uint8)
        mixture[..., :3] = np.rint(alpha * heat + (1 - alpha) * grey)
        return mixture.view(np.uint32).reshape(-1)


def scale_of(*, signed: bool) -> ColourScale:
    """The scale of maps with a sign, or of those that begin at nothing."""
    return diverging() if signed else sequential()


@cache
def sequential() -> ColourScale:
    """The inferno map (S. van der Walt and N. Smith, CC0); the lower, the more film is seen."""
    colours = np.frombuffer(bytes.fromhex(_table("inferno")["rgb"]), dtype=np.uint8)
    levels = np.linspace(0, 1, 256, dtype=np.float32)
    return ColourScale(colours.reshape(256, 3), levels, colours.reshape(256, 3))


@cache
def diverging() -> ColourScale:
    """Blue speaks against the target, orange for it, and nothing is drawn in the middle.

    Blue and orange are told apart with every common colour blindness (Okabe and Ito 2008).
    """
    table = _table("diverging")
    ends = np.array([list(bytes.fromhex(table[end])) for end in ("against", "for")], np.uint8)
    colours = ends.repeat(128, axis=0)
    strengths = np.clip(np.abs(np.arange(256) - 127.5) - 0.5, 0, None) / 127
    shown = strengths[:, np.newaxis] * colours + (1 - strengths[:, np.newaxis]) * np.array(GROUND)
    return ColourScale(colours, strengths.astype(np.float32), np.rint(shown).astype(np.uint8))


def _table(name: str) -> dict[str, str]:
    text = files("pacx_server").joinpath(f"web/{name}.json").read_text("utf-8")
    table: dict[str, str] = json.loads(text)
    return table
