"""Films with the outlines of heart and lungs, and films of phantoms whose outlines are exact."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pacx.errors import CohortError
from pacx.manifest import Source
from pacx.masks import STRUCTURES, Mask
from pacx_training.cohorts.images import read_film
from pacx_training.cohorts.phantom import phantom_radiograph

SIDE = 448
"""Side of the square that films and masks are brought to, pixels."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OutlinedFilm:
    """One film with its masks, squashed to the same square.

    Attributes:
        pixels: float32 ``[S, S]`` in [0, 1]; air dark, bone bright.
        masks: float32 ``[3, S, S]`` in [0, 1], in the order of ``STRUCTURES``.
        patient: Films of one patient share it.
        certain: False where a border had to be guessed.
        image: Its file's name below the folder of films; empty where it was drawn.
    """

    pixels: NDArray[np.float32]
    masks: NDArray[np.float32]
    patient: str
    certain: bool = True
    image: str = ""

    def masks_on(self, size: int) -> Mask:
        """The outlines on a model's input grid, bool ``[3, size, size]``."""
        block = self.masks.shape[1] // size
        cells = self.masks[:, : block * size, : block * size]
        return np.asarray(cells.reshape(3, size, block, size, block).mean(axis=(2, 4)) >= 0.5)


Polygon = list[tuple[float, float]]


class _Outline(BaseModel):
    """One entry of ``outlines.json``: polygons of ``(column, row)`` in the picture's pixels."""

    model_config = ConfigDict(frozen=True)

    image: str
    patient_id: int | str
    width: int
    height: int
    heart: Polygon
    right_lung: Polygon
    left_lung: Polygon
    note: str | None = None


def read_outlines(table: Path, images: Path) -> tuple[OutlinedFilm, ...]:
    """Read films with hand-drawn outlines.

    Args:
        table: JSON list of ``{image, patient_id, width, height, heart, right_lung, left_lung,
            note?}``.
        images: Folder that ``image`` is relative to.

    Raises:
        CohortError: The table or a film is missing or malformed; names which.
    """
    try:
        outlines = TypeAdapter(list[_Outline]).validate_python(json.loads(table.read_bytes()))
    except (OSError, ValueError, ValidationError) as error:
        raise CohortError(f"{table.name} is no list of outlines.") from error
    return tuple(_film(outline, images) for outline in outlines)


def phantom_films(seeds: Sequence[int]) -> Iterator[OutlinedFilm]:
    """Draw phantoms one by one, each its own patient."""
    for seed in seeds:
        phantom = phantom_radiograph(seed, SIDE)
        masks = np.stack([phantom.heart, phantom.right_lung, phantom.left_lung])
        yield OutlinedFilm(
            pixels=phantom.pixels, masks=masks.astype(np.float32), patient=f"phantom-{seed}"
        )


def source(films: Sequence[OutlinedFilm]) -> Source:
    """The entry of a model's provenance for hand-drawn outlines."""
    return Source(
        name="Outlines of heart and lungs on NIH ChestX-ray14",
        use="anatomy decoder",
        films=len(films),
        patients=len({film.patient for film in films}),
        licence="CC0 (the outlines); the films are NIH's",
        citation="Drawn by eye for this project, not by radiologists.",
    )


def _film(outline: _Outline, images: Path) -> OutlinedFilm:
    picture = Image.fromarray(read_film(images / outline.image).pixels)
    resized = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return OutlinedFilm(
        pixels=np.asarray(resized, dtype=np.float32),
        masks=np.stack([_mask(outline, getattr(outline, name)) for name in STRUCTURES]),
        patient=str(outline.patient_id),
        certain=outline.note is None,
        image=outline.image,
    )


def _mask(outline: _Outline, polygon: Polygon) -> NDArray[np.float32]:
    """Fill a polygon at four times the resolution, so that borders are not rounded."""
    fine = Image.new("L", (4 * SIDE, 4 * SIDE))
    scale = 4 * SIDE / outline.width, 4 * SIDE / outline.height
    ImageDraw.Draw(fine).polygon([(x * scale[0], y * scale[1]) for x, y in polygon], fill=255)
    shares = np.asarray(fine.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    return shares / np.float32(255)
