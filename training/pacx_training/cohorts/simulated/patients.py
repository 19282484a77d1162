"""One simulated visit: the latent state and everything that is measured of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx_training.cohorts.phantom import Phantom, phantom_of
from pacx_training.cohorts.simulated.electrocardiogram import (
    HeartBeat,
    draw_electrocardiogram,
    draw_heart_beat,
)
from pacx_training.cohorts.simulated.films import draw_film
from pacx_training.cohorts.simulated.laboratory import LaboratoryRecord, draw_laboratory
from pacx_training.cohorts.simulated.physiology import (
    Physiology,
    RadiographFacts,
    draw_physiology,
    physiology_given,
)

VISIT_CORRELATION = 0.9
"""Between the scores of two visits of one patient (assumption)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SimulatedPatient:
    """One visit.

    Attributes:
        physiology: The truth that everything else follows from.
        film: Phantom radiograph with its outlines and the chest that was drawn.
        beat: What determined the electrocardiogram.
        ecg_mv: float32 ``[12, 5000]``, 500 Hz, leads in the usual order.
        laboratory: Fifty values and which of them were measured.
    """

    physiology: Physiology
    film: Phantom
    beat: HeartBeat
    ecg_mv: NDArray[np.float32]
    laboratory: LaboratoryRecord


def simulated_patient(
    seed: int, *, patient: int, visit: int = 0, size: int = 320
) -> SimulatedPatient:
    """Draw one visit; the same arguments give the same bits.

    Args:
        seed: Of the cohort.
        patient: Number of the patient, from 0.
        visit: Number of the visit; later ones resemble the first.
        size: Side of the film in pixels.
    """
    physiology = draw_physiology(np.random.default_rng((seed, patient)))
    if visit > 0:
        physiology = _later(physiology, np.random.default_rng((seed, patient, visit)))
    return _measured(physiology, np.random.default_rng((seed, patient, visit, 1)), size)


def patient_given(facts: RadiographFacts, *, seed: int, size: int = 320) -> SimulatedPatient:
    """Draw a patient whose film could be the real one that ``facts`` were read from."""
    generator = np.random.default_rng(seed)
    return _measured(physiology_given(facts, generator), generator, size)


def _later(first: Physiology, generator: np.random.Generator) -> Physiology:
    own = draw_physiology(generator).scores
    fresh = np.sqrt(1 - VISIT_CORRELATION**2)
    return Physiology(
        tuple(
            VISIT_CORRELATION * old + float(fresh) * new
            for old, new in zip(first.scores, own, strict=True)
        )
    )


def _measured(
    physiology: Physiology, generator: np.random.Generator, size: int
) -> SimulatedPatient:
    thorax = draw_film(physiology, generator)
    beat = draw_heart_beat(physiology, generator)
    return SimulatedPatient(
        physiology=physiology,
        film=phantom_of(thorax, seed=int(generator.integers(2**62)), size=size),
        beat=beat,
        ecg_mv=draw_electrocardiogram(beat, generator),
        laboratory=draw_laboratory(physiology, generator),
    )
