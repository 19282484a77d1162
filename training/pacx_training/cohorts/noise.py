"""Seeded smooth random fields: the texture of simulated films."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]


def smooth_noise(
    generator: np.random.Generator, shape: tuple[int, int], wavelength: float
) -> Field:
    """Draw Gaussian noise with one dominant scale.

    Args:
        generator: Source of randomness.
        shape: Rows and columns.
        wavelength: Of the dominant waves, as a share of the picture's side.

    Returns:
        ``[rows, columns]`` with mean 0 and standard deviation 1; periodic at the borders.
    """
    rows, columns = shape
    spectrum = np.fft.rfft2(generator.standard_normal(shape))
    cycles = np.hypot(
        np.fft.fftfreq(rows, 1 / rows)[:, np.newaxis], np.fft.rfftfreq(columns, 1 / columns)
    )
    band = np.exp(-((np.log2(np.maximum(cycles, 1e-9) * wavelength)) ** 2))
    field = np.fft.irfft2(spectrum * band, s=shape)
    return np.asarray((field - field.mean()) / field.std())


def ridges(field: Field, width: float) -> Field:
    """Turn noise into a net of thin lines (its zero crossings), as vessels and septa look.

    Args:
        field: Noise of standard deviation 1.
        width: Of the lines, in standard deviations.

    Returns:
        Values in [0, 1] of the same shape; 1 in the middle of a line.
    """
    return np.asarray(np.exp(-((field / width) ** 2)))
