"""The colour map of heat maps: perceptually uniform, readable by the colour-blind.

The table lies among the web files, so that pictures and the viewer are coloured by one table.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


@cache
def colour_map() -> NDArray[np.uint8]:
    """The inferno map (S. van der Walt and N. Smith, CC0), uint8 ``[256, 3]``, low to high."""
    table = json.loads(files("pacx_server").joinpath("web/inferno.json").read_text("utf-8"))
    colours = np.frombuffer(bytes.fromhex(table["rgb"]), dtype=np.uint8)
    return colours.reshape(256, 3)


def blend_table(opacity: float) -> NDArray[np.uint32]:
    """All mixtures of a heat level and a grey level, uint32 ``[256 * 256]``.

    The mixture of heat ``h`` and grey ``g`` stands at ``256 * h + g``; its bytes are red,
    green, blue and one that is unused. The heat's alpha is ``opacity * h / 255``, so that
    the film stays untouched where the map is low.

    Args:
        opacity: Of the hottest colour, in [0, 1].
    """
    levels = np.arange(256, dtype=np.float32)
    alpha = (opacity * levels / 255)[:, np.newaxis, np.newaxis]
    heat = colour_map().astype(np.float32)[:, np.newaxis, :]
    grey = levels[np.newaxis, :, np.newaxis]
    mixture = np.zeros((256, 256, 4), dtype=np.uint8)
    mixture[..., :3] = np.rint(alpha * heat + (1 - alpha) * grey)
    return mixture.view(np.uint32).reshape(-1)
