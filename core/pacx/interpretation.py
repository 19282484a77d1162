"""From a model's outputs for one film to what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

from pacx.anatomy import Anatomy
from pacx.masks import thorax
from pacx.measures import peaks_in
from pacx.novelty import Novelty
from pacx.radiograph import ImageWarning, Radiograph
from pacx.results import Finding, Quality

CARDIOMEGALY = "Cardiomegaly"
ENLARGED = 0.5
"""Cardiothoracic ratio from which a heart counts as enlarged on an upright PA film."""

_ELSEWHERE = (
    "The map is hottest outside heart and lungs, where attention of vision transformers often "
    "gathers without a meaning."
)
_UNLIKE = "The picture is unlike the chest films that this model learnt from."


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmFacts:
    """What is known about a film besides its pixels.

    Attributes:
        spacing_mm: Distance between rows and between columns in mm, None where unknown.
        view: ``PA``, ``AP``, ``LATERAL`` or None.
    """

    spacing_mm: tuple[float, float] | None = None
    view: str | None = None

    @classmethod
    def of(cls, radiograph: Radiograph) -> FilmFacts:
        """The facts of a radiograph."""
        return cls(spacing_mm=radiograph.spacing_mm, view=radiograph.view)


def measured_cardiomegaly(
    anatomy: Anatomy, facts: FilmFacts, deviation: float | None
) -> Finding | None:
    """Call a heart enlarged by its cardiothoracic ratio, on PA films and those of unknown view.

    Args:
        anatomy: Of the film.
        facts: Of the film.
        deviation: Standard deviation of the ratio's error in cross-validation; the probability
            is that of a true ratio above ``ENLARGED``, if errors are normal.

    Returns:
        None where there is no ratio, on AP films, or where the error was never measured.
    """
    if anatomy.cardiothoracic is None or not deviation or facts.view == "AP":
        return None
    excess = anatomy.cardiothoracic.ratio - ENLARGED
    return Finding(
        label=CARDIOMEGALY,
        group="radiology",
        probability=0.5 * (1 + erf(excess / deviation / sqrt(2))),
        threshold=0.5,
        positive=excess >= 0,
        calibrated=False,
        simulated=False,
        measured=True,
    )


def judge(
    embedding: NDArray[np.float32],
    anatomy: Anatomy | None,
    novelty: Novelty | None,
    view: str | None,
) -> Quality:
    """Say whether a picture is what the model is made for; embedding is ``[D]``."""
    score = None if novelty is None else novelty.score(embedding)
    frontal = None if anatomy is None else anatomy.plausible and view != "LATERAL"
    return Quality(
        is_frontal_chest=frontal,
        out_of_distribution=None if score is None else score > 1,
        score=score,
    )


def warnings_of(anatomy: Anatomy | None, quality: Quality) -> tuple[ImageWarning, ...]:
    """Collect what a reader should know before using the numbers."""
    unlike = (ImageWarning("out_of_distribution", _UNLIKE),) if quality.out_of_distribution else ()
    return unlike + (anatomy.warnings if anatomy else ())


def warnings_of_map(grid: NDArray[np.float32], anatomy: Anatomy | None) -> tuple[ImageWarning, ...]:
    """Say where a map ``[grid_rows, grid_columns]`` should not be taken at its word."""
    if anatomy is None or not anatomy.plausible or grid.max() == grid.min():
        return ()
    if peaks_in(grid, thorax(anatomy.masks)):
        return ()
    return (ImageWarning("map_outside_chest", _ELSEWHERE),)
