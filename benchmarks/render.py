"""How fast overlays are drawn, beside the straightforward way of drawing the same picture.

Both draw the same film and map; they are run in turn, so that a busy machine slows both, and
the fastest of several rounds counts. Prints the times, their ratio, and the size of the files.

    python benchmarks/render.py --rows 2500 --columns 2048 --rounds 7
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pacx.preprocessing import Geometry
from pacx_server.colours import sequential
from pacx_server.png import encode_png
from pacx_server.rendering import Decoration, render_overlay

OPACITY = 0.5


def film(rows: int, columns: int) -> NDArray[np.uint8]:
    """A picture with the smooth shapes and the fine noise of a radiograph."""
    rng = np.random.default_rng(0)
    shapes = Image.fromarray(rng.random((12, 10), dtype=np.float32))
    smooth = np.asarray(shapes.resize((columns, rows), Image.Resampling.BICUBIC))
    noise = rng.normal(0, 1.5, (rows, columns))
    return np.clip(smooth * 200 + 20 + noise, 0, 255).astype(np.uint8)


def draw_naively(
    display: NDArray[np.uint8], grid: NDArray[np.float32], geometry: Geometry
) -> bytes:
    """Resize the map, blend in floats, let Pillow write the file as it likes."""
    size = (geometry.columns, geometry.rows)
    heat = np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BILINEAR))
    heat = (heat - grid.min()) / np.ptp(grid)
    colours = sequential().colours[(heat * 255).astype(np.uint8)].astype(np.float32)
    alpha = (OPACITY * heat)[..., np.newaxis]
    mixed = alpha * colours + (1 - alpha) * display[..., np.newaxis]
    file = BytesIO()
    Image.fromarray(np.rint(mixed).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def save_with_pillow(display: NDArray[np.uint8], level: int) -> bytes:
    """The film alone, written by Pillow at a compression level."""
    file = BytesIO()
    Image.fromarray(display).save(file, "PNG", compress_level=level)
    return file.getvalue()


def fastest_s(variants: dict[str, Callable[[], bytes]], rounds: int) -> dict[str, float]:
    """Least seconds of each variant, all variants interleaved."""
    least = dict.fromkeys(variants, float("inf"))
    for _ in range(rounds):
        for name, draw in variants.items():
            start = time.perf_counter()
            draw()
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=2500)
    arguments.add_argument("--columns", type=int, default=2048)
    arguments.add_argument("--rounds", type=int, default=7)
    options = arguments.parse_args()
    display = film(options.rows, options.columns)
    grid = np.random.default_rng(1).random((14, 14), dtype=np.float32) ** 4
    geometry = Geometry(options.rows, options.columns, 224)
    decoration = Decoration(title="a model 1.0.0 · rollout")
    variants: dict[str, Callable[[], bytes]] = {
        "overlay, straightforward": lambda: draw_naively(display, grid, geometry),
        "overlay": lambda: render_overlay(
            display, grid, geometry, opacity=OPACITY, decoration=decoration
        ),
        "film, Pillow level 6": lambda: save_with_pillow(display, 6),
        "film, Pillow level 1": lambda: save_with_pillow(display, 1),
        "film": lambda: encode_png(display),
    }
    least = fastest_s(variants, options.rounds)
    for name, seconds in least.items():
        whole = least[next(n for n in variants if n.split(",")[0] == name.split(",")[0])]
        size = len(variants[name]()) / 1e6
        print(f"{name:26} {seconds * 1e3:8.1f} ms {whole / seconds:6.2f} x {size:6.1f} MB")


if __name__ == "__main__":
    main()
