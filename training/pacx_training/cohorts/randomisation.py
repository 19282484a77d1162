"""Domain randomisation: the same chest as other machines, hands and days would have filmed it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pacx_training.cohorts.noise import smooth_noise
from pacx_training.cohorts.outlines import OutlinedFilm

Picture = NDArray[np.float32]


def randomise(film: OutlinedFilm, generator: np.random.Generator) -> OutlinedFilm:
    """Film the same chest again: other positioning, exposure, processing, borders and markers.

    It is never mirrored, because a mirrored chest is another anatomy.
    """
    moved = _move(film, generator)
    pixels = _expose(moved.pixels, generator)
    pixels = _process(pixels, generator)
    return replace(moved, pixels=np.clip(_obstruct(pixels, generator), 0, 1))


def _move(film: OutlinedFilm, generator: np.random.Generator) -> OutlinedFilm:
    """Rotate, scale, squash and shift picture and masks alike."""
    side = film.pixels.shape[0]
    angle = np.deg2rad(np.clip(generator.normal(0, 4), -12, 12))
    across, down = np.exp(generator.normal(0, 0.09)) * np.exp(generator.normal(0, 0.06, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([across, down])
    centre = np.full(2, side / 2)
    offset = centre - matrix @ centre + generator.normal(0, 0.04, 2) * side
    affine = (*matrix[0], offset[0], *matrix[1], offset[1])

    def warp(picture: Picture) -> Picture:
        moved = Image.fromarray(picture).transform(
            (side, side), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
        )
        return np.asarray(moved, dtype=np.float32)

    return replace(film, pixels=warp(film.pixels), masks=np.stack([warp(m) for m in film.masks]))


def _expose(pixels: Picture, generator: np.random.Generator) -> Picture:
    """Another gamma, window and uneven exposure."""
    darker = pixels ** np.float32(np.exp(generator.normal(0, 0.3)))
    gain, level = np.exp(generator.normal(0, 0.15)), generator.normal(0, 0.06)
    shape = (pixels.shape[0], pixels.shape[1])
    field = 0.05 * generator.random() * smooth_noise(generator, shape, 0.8)
    return np.asarray(np.clip((darker - 0.5) * gain + 0.5 + level + field, 0, 1), np.float32)


def _process(pixels: Picture, generator: np.random.Generator) -> Picture:
    """Edge enhancement or blur, and noise of another detector."""
    coarse = _blur(pixels, int(generator.integers(2, 24)))
    processed = pixels + generator.uniform(-0.7, 1.0) * (pixels - coarse)
    noise = generator.standard_normal(pixels.shape) * abs(generator.normal(0, 0.02))
    return np.asarray(processed + noise, dtype=np.float32)


def _blur(pixels: Picture, factor: int) -> Picture:
    side = pixels.shape[0]
    small = Image.fromarray(pixels).resize((side // factor,) * 2, Image.Resampling.BOX)
    return np.asarray(small.resize((side, side), Image.Resampling.BILINEAR), dtype=np.float32)


def _obstruct(pixels: Picture, generator: np.random.Generator) -> Picture:
    """Collimator borders, markers and bars of dirt or metal."""
    covered = pixels.copy()
    side = pixels.shape[0]
    if generator.random() < 0.3:
        shade = np.float32(generator.choice([0.0, 1.0]))
        for axis in (0, 1):
            edge = int(generator.uniform(0, 0.07) * side)
            np.moveaxis(covered, axis, 0)[:edge] = shade
            np.moveaxis(covered, axis, 0)[side - edge :] = shade
    for _ in range(generator.poisson(1.0)):
        row, column = (generator.random(2) * side).astype(int)
        height, width = (generator.uniform(0.01, 0.08, 2) * side).astype(int)
        covered[row : row + height, column : column + width] = generator.random()
    return covered
