"""Phantom chest films with exact outlines: pure arithmetic on a seed, nobody's picture.

A film is the logarithm of the X-rays that a detector receives, which is linear in what they
passed through (Beer-Lambert law): thickness of soft tissue and bone, less the air of the lungs.
The thicknesses are drawn by hand (assumptions, not anatomy); the outlines are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx_training.cohorts import thorax as anatomy
from pacx_training.cohorts.noise import ridges, smooth_noise
from pacx_training.cohorts.thorax import Field, Frame, Mask, Thorax

__all__ = ["Phantom", "phantom_of", "phantom_radiograph"]

DETECTOR_LEVELS = 4095
"""Films are rounded to 12 bits as a detector does, which also makes them repeat bit for bit."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Phantom:
    """One simulated film and what is known about it.

    Attributes:
        pixels: float32 ``[rows, columns]`` in [0, 1]; air dark, bone bright.
        heart: bool ``[rows, columns]``, the cardiac silhouette.
        right_lung: bool, aerated lung of the patient's right side (left in the picture) that
            neither heart nor fluid hides.
        left_lung: bool, the same on the other side.
        right_effusion: bool, pleural fluid on the right.
        left_effusion: bool, pleural fluid on the left.
        truth: The chest that was drawn.
    """

    pixels: NDArray[np.float32]
    heart: Mask
    right_lung: Mask
    left_lung: Mask
    right_effusion: Mask
    left_effusion: Mask
    truth: Thorax


def phantom_radiograph(seed: int, size: int | tuple[int, int] = 224) -> Phantom:
    """Draw a random chest and its film; the same seed gives the same bits.

    Args:
        seed: Any non-negative integer.
        size: Side of a square film, or rows and columns.
    """
    generator = np.random.default_rng(seed)
    thorax = anatomy.draw_thorax(generator)
    return phantom_of(thorax, seed=int(generator.integers(2**62)), size=size)


def phantom_of(thorax: Thorax, *, seed: int, size: int | tuple[int, int] = 224) -> Phantom:
    """Film a given chest.

    Args:
        thorax: What to show.
        seed: Of everything that is not anatomy: vessels, ribs, exposure, noise.
        size: Side of a square film, or rows and columns.
    """
    shape = (size, size) if isinstance(size, int) else size
    generator = np.random.default_rng(seed)
    at = anatomy.frame(thorax, shape)
    outlines = _outlines(thorax, at)
    density = _attenuation(thorax, at, outlines, generator)
    return Phantom(
        pixels=_expose(density, generator),
        heart=outlines.heart,
        right_lung=outlines.lung(right=True),
        left_lung=outlines.lung(right=False),
        right_effusion=outlines.right_fluid,
        left_effusion=outlines.left_fluid,
        truth=thorax,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Outlines:
    heart: Mask
    right_space: Mask
    left_space: Mask
    right_fluid: Mask
    left_fluid: Mask

    def lung(self, *, right: bool) -> Mask:
        space, fluid = (
            (self.right_space, self.right_fluid) if right else (self.left_space, self.left_fluid)
        )
        return space & ~self.heart & ~fluid


def _outlines(thorax: Thorax, at: Frame) -> _Outlines:
    heart = np.asarray(anatomy.heart_radius(thorax, at) < 1)
    return _Outlines(
        heart=heart,
        right_space=anatomy.lung_space(thorax, "right", at),
        left_space=anatomy.lung_space(thorax, "left", at),
        right_fluid=anatomy.fluid(thorax, "right", at) & ~heart,
        left_fluid=anatomy.fluid(thorax, "left", at) & ~heart,
    )


def _attenuation(
    thorax: Thorax, at: Frame, outlines: _Outlines, generator: np.random.Generator
) -> Field:
    """Sum everything in the beam, in units of the chest's soft tissue; ``[rows, columns]``."""
    lung = _lung_density(thorax, at, generator)
    filled = outlines.right_fluid | outlines.left_fluid
    air = _soften((outlines.right_space | outlines.left_space) & ~filled) * (1 - lung)
    total = _soft_tissue(thorax, at) - 0.62 * air
    total += 0.46 * np.sqrt(np.clip(1 - anatomy.heart_radius(thorax, at) ** 2, 0, 1))
    total += _mediastinum(thorax, at) + _bones(thorax, at, generator)
    return total + _devices(thorax, at)


def _soft_tissue(thorax: Thorax, at: Frame) -> Field:
    """Chest wall, shoulders, arms and what lies below the diaphragm."""
    body = 0.84 + 0.12 * thorax.chest_wall
    wall = np.sqrt(np.clip(1 - (at.u / body) ** 4, 0, 1)) * (0.75 + 0.35 * thorax.chest_wall)
    shoulders = 0.5 / (1 + np.exp((at.v + 0.62 + 0.25 * np.abs(at.u)) * 14)) * (np.abs(at.u) > 0.18)
    abdomen = 0.28 / (1 + np.exp(-(at.v - 0.55) * 9))
    breasts = (
        0.16
        * thorax.chest_wall
        * np.exp(-(((np.abs(at.u) - 0.42) / 0.22) ** 2) - ((at.v - 0.30) / 0.20) ** 2)
    )
    return wall + (shoulders + abdomen + breasts) * (wall > 0)


def _lung_density(thorax: Thorax, at: Frame, generator: np.random.Generator) -> Field:
    """Share of lung that is not air, 0-1: vessels, interstitium, oedema, consolidation."""
    shape = (at.u.shape[0], at.u.shape[1])
    hilum = np.hypot((np.abs(at.u) - 0.16) / 0.30, (at.v + 0.06) / 0.34)
    upper = 1 / (1 + np.exp((at.v + 0.15) * 8))
    vessels = ridges(smooth_noise(generator, shape, 0.10), 0.16)
    septa = ridges(smooth_noise(generator, shape, 0.035), 0.22)
    cloud = smooth_noise(generator, shape, 0.16)
    wet = thorax.congestion
    density = np.full(shape, 0.20 - 0.15 * thorax.emphysema)
    density += vessels * np.exp(-hilum) * (0.22 + 0.30 * wet * upper)
    density += 0.14 * wet * septa * (0.4 + 0.6 * (at.v > 0.1))
    density += 0.55 * wet**2 * np.exp(-(hilum**2) / 1.6) * (1 + 0.25 * cloud)
    density += _consolidation(thorax, at, cloud, generator)
    return np.asarray(np.clip(density, 0.02, 0.92))


def _consolidation(
    thorax: Thorax, at: Frame, cloud: Field, generator: np.random.Generator
) -> Field:
    row, column, radius = generator.uniform((-0.35, 0.28, 0.14), (0.35, 0.48, 0.26))
    sign = -1.0 if thorax.consolidated_side == "right" else 1.0
    distance = np.hypot(at.u - sign * column, at.v - row) / radius
    opacity = thorax.consolidation * 0.75 * np.exp(-(distance**2)) * (1 + 0.3 * cloud)
    return np.asarray(opacity)


def _mediastinum(thorax: Thorax, at: Frame) -> Field:
    """Spine, great vessels, aortic knob, left atrium and the dark windpipe."""
    chest = 1 / (1 + np.exp(-(at.v + 1.0) * 12))
    spine = 0.42 * np.exp(-((at.u / 0.085) ** 4)) * (0.88 + 0.12 * np.cos(at.v * 44))
    pedicle = 0.11 + 0.10 * thorax.vascular_pedicle
    vessels = 0.22 * np.exp(-((at.u / pedicle) ** 4)) * (at.v < 0.2)
    atrium = np.hypot((at.u - 0.03) / 0.17, (at.v - 0.02) / 0.13)
    reach = 0.10 + 0.05 * thorax.aorta
    knob = np.hypot((at.u - 0.13) / reach, (at.v + 0.36) / 0.10)
    trachea = np.exp(-(((at.u + 0.01) / 0.03) ** 2)) / (1 + np.exp((at.v + 0.30) * 20))
    middle = (spine + vessels) * chest + 0.22 * np.clip(1 - knob**2, 0, 1) - 0.18 * trachea
    return np.asarray(middle + 0.26 * thorax.left_atrium * np.clip(1 - atrium**2, 0, 1))


def _bones(thorax: Thorax, at: Frame, generator: np.random.Generator) -> Field:
    """Back ribs fall outwards, front ribs fall steeply inwards; clavicles cross the apices."""
    spacing, phase = generator.uniform(0.135, 0.155), generator.random()
    aside = np.abs(at.u)
    cage = (aside < 0.80) & (at.v > -0.86) & (at.v < 0.85)
    back = _stripes((at.v - 0.28 * aside + 0.42 * aside**2.6) / spacing + phase)
    front = _stripes((at.v - 0.75 * (0.8 - aside) ** 2 - 0.1) / (spacing * 1.12) + phase)
    ribs = 0.11 * back * (aside > 0.06) + 0.07 * front * (aside > 0.30)
    clavicle = np.exp(-(((at.v + 0.66 + 0.16 * (aside - 0.3)) / 0.032) ** 2))
    clavicles = 0.16 * clavicle * (aside > 0.06) * (aside < 0.66)
    return (0.55 + 0.75 * thorax.bone_density) * (ribs * cage + clavicles)


def _stripes(phase: Field) -> Field:
    """Bands with bright edges, as the cortex of a rib looks; period 1, values 0-1."""
    offset = np.abs(phase - np.round(phase))
    body = 1 / (1 + np.exp((offset - 0.24) * 40))
    return body * (0.65 + 0.35 * np.exp(-(((offset - 0.21) / 0.05) ** 2)))


def _devices(thorax: Thorax, at: Frame) -> Field:
    """Metal and plastic: a pacemaker on the left, a dialysis catheter on the right."""
    devices = np.zeros_like(at.u)
    if thorax.pacemaker:
        box = np.maximum(np.abs(at.u - 0.50) / 0.10, np.abs(at.v + 0.58) / 0.08) < 1
        lead = np.abs(at.u - 0.12 - 0.38 * np.clip((-at.v - 0.05) / 0.5, 0, 1) ** 2) < 0.008
        devices += 1.2 * box + 0.9 * (lead & (at.v > -0.58) & (at.v < 0.30))
    if thorax.dialysis_catheter:
        course = -0.10 - 0.16 * np.clip((-at.v - 0.25) / 0.4, 0, 1) ** 2
        tube = (np.abs(at.u - course) < 0.014) & (at.v > -0.75) & (at.v < 0.05)
        devices += 0.45 * tube
    return devices


def _soften(mask: Mask) -> Field:
    """Blur a mask's border by a pixel, since curved surfaces thin out towards their edge."""
    field = mask.astype(np.float64)
    for axis in (0, 1):
        field = (np.roll(field, 1, axis) + 2 * field + np.roll(field, -1, axis)) / 4
    return field


def _expose(density: Field, generator: np.random.Generator) -> NDArray[np.float32]:
    """Detector noise, then a sigmoid window around the film's own grey levels."""
    shape = (density.shape[0], density.shape[1])
    noisy = density + 0.012 * generator.standard_normal(shape)
    noisy += 0.02 * smooth_noise(generator, shape, 0.5)
    low, middle, high = np.percentile(noisy, (3, 50, 97))
    centre = middle + generator.uniform(-0.12, 0.12) * (high - low)
    width = generator.uniform(0.85, 1.25) * (high - low)
    grey = 1 / (1 + np.exp(-4 * (noisy - centre) / width))
    return np.asarray(np.round(grey * DETECTOR_LEVELS) / DETECTOR_LEVELS, dtype=np.float32)
