"""One chest radiograph: pixels, geometry and facts, and nothing about the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pacx.errors import MalformedImage, NoContrast, TooSmall

Source = Literal["dicom", "png", "jpeg", "tiff", "array"]

MINIMUM_SIDE_PX = 32
_STRIP_ROWS = 64


@dataclass(frozen=True, slots=True)
class ImageWarning:
    """Something about an image that did not stop it from being read.

    Attributes:
        code: Stable, machine-readable name, such as ``spacing_unknown``.
        message: One sentence for people; never a value read from the file.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Radiograph:
    """A decoded, windowed radiograph on the pixel grid of its file.

    Attributes:
        pixels: float32 ``[rows, columns]`` in [0, 1]; air dark, bone bright.
        source: The format that it was read from; never a file name.
        spacing_mm: Distance between rows and between columns in mm, or None where unknown.
        pixel_aspect_ratio: Height of a pixel divided by its width (DICOM PS3.3 C.7.6.3.1.7).
        view: ``PA``, ``AP``, ``LATERAL`` or None where unknown.
        modality: DICOM modality (``CR``, ``DX``, ...), or None where unknown.
        decoder: Library that decoded the pixels, with its version; None for arrays.
        warnings: What a reader should know about this image.
    """

    pixels: NDArray[np.float32]
    source: Source
    spacing_mm: tuple[float, float] | None = None
    pixel_aspect_ratio: float = 1.0
    view: str | None = None
    modality: str | None = None
    decoder: str | None = None
    warnings: tuple[ImageWarning, ...] = ()

    @property
    def rows(self) -> int:
        """Height of the picture in pixels."""
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        """Width of the picture in pixels."""
        return int(self.pixels.shape[1])

    @classmethod
    def from_array(
        cls, pixels: NDArray[np.generic], *, spacing_mm: tuple[float, float] | None = None
    ) -> Radiograph:
        """Wrap an array that is already windowed.

        Args:
            pixels: ``[rows, columns]``; integers are scaled by their type's maximum,
                floats must lie in [0, 1]. Air dark, bone bright.
            spacing_mm: Distance between rows and between columns in mm.

        Raises:
            MalformedImage: Wrong shape, type or range.
            NoContrast: All pixels are equal.
            TooSmall: A side is shorter than ``MINIMUM_SIDE_PX``.
        """
        scaled = _unit_interval(np.asarray(pixels))
        check_usable(scaled)
        return cls(pixels=scaled, source="array", spacing_mm=spacing_mm)


def check_usable(pixels: NDArray[np.generic]) -> None:
    """Refuse pictures that no model can say anything about.

    Raises:
        NoContrast: All pixels are equal.
        TooSmall: A side is shorter than ``MINIMUM_SIDE_PX``.
    """
    if min(pixels.shape) < MINIMUM_SIDE_PX:
        raise TooSmall(f"Both sides must have at least {MINIMUM_SIDE_PX} pixels.")
    if not has_contrast(pixels):
        raise NoContrast("All pixels have the same value, so there is no picture to look at.")


def has_contrast(pixels: NDArray[np.generic]) -> bool:
    """Whether any two pixels differ; of a real picture only the first rows are looked at."""
    first = pixels.flat[0]
    strips = (pixels[top : top + _STRIP_ROWS] for top in range(0, len(pixels), _STRIP_ROWS))
    return any(bool((strip != first).any()) for strip in strips)


def _unit_interval(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    if pixels.ndim != 2:
        raise MalformedImage("An array must have two dimensions [rows, columns].")
    if pixels.dtype.kind == "u":
        maximum = 2.0 ** (8 * pixels.dtype.itemsize) - 1
        return np.ascontiguousarray(pixels, dtype=np.float32) / np.float32(maximum)
    if pixels.dtype.kind != "f":
        raise MalformedImage("An array must hold unsigned integers or floats in [0, 1].")
    scaled = np.ascontiguousarray(pixels, dtype=np.float32)
    if not np.isfinite(scaled).all() or scaled.size == 0 or scaled.min() < 0 or scaled.max() > 1:
        raise MalformedImage("Floats must be finite and lie in [0, 1].")
    return scaled
