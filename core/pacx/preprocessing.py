"""Radiograph -> model input, and the way back from the model's grid to original pixels.

The paper squashes every film to a square of 224 pixels (antialiased bilinear), repeats the grey
channel three times and normalises with ImageNet's mean and standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pacx.radiograph import Radiograph
from pacx.resampling import resize


class PreprocessingSpec(BaseModel):
    """How a bundle wants its input; part of the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(224, ge=16, le=2048, description="Side of the square model input, pixels.")
    resize: Literal["squash"] = "squash"
    interpolation: Literal["bilinear_antialias"] = "bilinear_antialias"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Geometry:
    """The affine map between a picture of ``rows`` x ``columns`` and a square of ``size``.

    Coordinates are continuous: a pixel's centre lies at its index + 0.5.
    """

    rows: int
    columns: int
    size: int

    def to_original(self, row: float, column: float) -> tuple[float, float]:
        """Map a point of the model's input to the original picture."""
        return row * self.rows / self.size, column * self.columns / self.size

    def to_model(self, row: float, column: float) -> tuple[float, float]:
        """Map a point of the original picture to the model's input."""
        return row * self.size / self.rows, column * self.size / self.columns


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """One picture on the model's grid.

    Attributes:
        pixels: float32 ``[size, size]`` in [0, 1], not yet normalised.
        geometry: The way back to the original picture.
    """

    pixels: NDArray[np.float32]
    geometry: Geometry


def prepare(radiograph: Radiograph, spec: PreprocessingSpec) -> ModelInput:
    """Resize a radiograph to the model's grid.

    Because the picture is squashed to a square, pixels that are not square need no
    correction of their own.
    """
    pixels = resize(radiograph.pixels, spec.size, spec.size)
    np.clip(pixels, 0.0, 1.0, out=pixels)  # rounding may have left it by a step
    return ModelInput(pixels, Geometry(radiograph.rows, radiograph.columns, spec.size))


def normalise(pixels: NDArray[np.float32], spec: PreprocessingSpec) -> NDArray[np.float32]:
    """Turn grey pictures ``[N, size, size]`` in [0, 1] into ``pixel_values``.

    Returns:
        float32 ``[N, 3, size, size]``, each channel ``(grey - mean) / std``.
    """
    mean = np.asarray(spec.mean, dtype=np.float32).reshape(1, 3, 1, 1)
    std = np.asarray(spec.std, dtype=np.float32).reshape(1, 3, 1, 1)
    return (pixels[:, np.newaxis] - mean) / std


def upsample(grid: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """Spread maps on the model's grid over the original pixels, bilinearly.

    Args:
        grid: ``[..., grid_rows, grid_columns]``, covering the whole model input.
        geometry: Of the picture that the maps belong to.

    Returns:
        float32 ``[..., rows, columns]``.
    """
    return resize(grid.astype(np.float32), geometry.rows, geometry.columns)
