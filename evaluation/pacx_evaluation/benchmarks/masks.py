"""Masks that come with the films of a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx_training.cohorts.masked import MaskedCohort


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmMasks:
    """One mask a structure for the films where outlines are known.

    Attributes:
        structures: Their names, the C channels.
        known: bool ``[N]``, films that have masks.
        read: Place of a film -> share of a pixel inside, float32 ``[C, rows, columns]``, over the
            whole film at any resolution.
    """

    structures: tuple[str, ...]
    known: NDArray[np.bool_]
    read: Callable[[int], NDArray[np.float32]]


def published_masks(masked: MaskedCohort) -> FilmMasks:
    """The masks of a published data set, which every film has."""
    return FilmMasks(
        structures=(masked.structure,),
        known=np.ones(len(masked.cohort), np.bool_),
        read=lambda index: masked.mask(index)[np.newaxis].astype(np.float32),
    )
