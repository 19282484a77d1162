"""Simulated cohorts: who is filmed how often, and every visit written in Symile-MIMIC's layout."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pacx_training.cohorts.phantom import Phantom
from pacx_training.cohorts.simulated.patients import SimulatedPatient, simulated_patient
from pacx_training.cohorts.simulated.physiology import STATES
from pacx_training.cohorts.simulated.pictures import PictureWriter
from pacx_training.cohorts.simulated.writer import Admission, SplitWriter, begin, describe
from pacx_training.cohorts.symile_mimic import SPLITS, Split
from pacx_training.percentiles import Percentiles

FIRST_ADMISSION = 10_000_000


class CohortPlan(BaseModel):
    """What to simulate; saved beside the cohort."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    visits: int = Field(1000, ge=10, description="Films, over all splits.")
    seed: int = Field(0, ge=0, lt=2**63)
    size: int = Field(320, ge=32, le=1024, description="Side of a film, pixels.")
    second_visits: float = Field(0.15, ge=0, le=1, description="Share of patients filmed twice.")
    missing_ecg: float = Field(
        0.0, ge=0, le=1, description="Share of visits without an ECG (rows of NaN)."
    )
    shares: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1), description="Of patients in train, val and test."
    )


@dataclass(frozen=True, slots=True)
class Visit:
    """One row of the cohort."""

    patient: int
    number: int
    split: Split
    without_ecg: bool


def planned_visits(plan: CohortPlan) -> list[Visit]:
    """Lay out patients and visits; all visits of a patient share one split."""
    generator = np.random.default_rng((plan.seed, 2**32))
    visits: list[Visit] = []
    patient = 0
    while len(visits) < plan.visits:
        split = SPLITS[int(generator.choice(3, p=np.asarray(plan.shares) / sum(plan.shares)))]
        for number in range(1 + int(generator.random() < plan.second_visits)):
            without = bool(generator.random() < plan.missing_ecg)
            visits.append(Visit(patient, number, split, without))
        patient += 1
    return visits[: plan.visits]


def write_cohort(plan: CohortPlan, folder: Path, *, workers: int = 1) -> Iterator[int]:
    """Simulate and write every visit.

    Args:
        plan: What to simulate.
        folder: Is made; files of an older cohort in it are replaced.
        workers: Processes that simulate; the result does not depend on it.

    Yields:
        The number of visits written so far.
    """
    begin(folder)
    visits = planned_visits(plan)
    written = 0
    ids: list[tuple[int, int]] = []
    percentiles: Percentiles | None = None
    pictures = PictureWriter(folder)
    for split in SPLITS:
        mine = [visit for visit in visits if visit.split == split]
        writer = SplitWriter(folder, split, len(mine), plan.size)
        for visit, patient in zip(mine, _simulate(mine, plan, workers), strict=True):
            admission = _admission(visit, patient, plan.seed)
            writer.add(admission)
            pictures.add(admission, split)
            written += 1
            yield written
        # Train comes first: the other splits are described in terms of its percentiles.
        percentiles = percentiles or Percentiles.fit(*writer.laboratory())
        ids += writer.finish(percentiles)
    pictures.finish()
    describe(folder, ids, {"plan": plan.model_dump(mode="json")})


def _simulate(visits: list[Visit], plan: CohortPlan, workers: int) -> Iterator[SimulatedPatient]:
    draw = partial(_draw, seed=plan.seed, size=plan.size)
    if workers <= 1:
        yield from map(draw, visits)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw, visits, chunksize=8)


def _draw(visit: Visit, *, seed: int, size: int) -> SimulatedPatient:
    return simulated_patient(seed, patient=visit.patient, visit=visit.number, size=size)


def _admission(visit: Visit, patient: SimulatedPatient, seed: int) -> Admission:
    return Admission(
        number=FIRST_ADMISSION + 10 * visit.patient + visit.number,
        patient=visit.patient,
        pixels=patient.film.pixels,
        mask=label_map(patient.film),
        ecg_mv=None if visit.without_ecg else patient.ecg_mv,
        laboratory=patient.laboratory,
        truth={"seed": seed, **truth_of(patient)},
    )


def truth_of(patient: SimulatedPatient) -> dict[str, object]:
    """The latent state, the chest that was drawn and the heart beat, by column."""
    return {
        **dict(zip(STATES, patient.physiology.scores, strict=True)),
        **{f"film_{name}": value for name, value in asdict(patient.film.truth).items()},
        **{f"ecg_{name}": value for name, value in asdict(patient.beat).items()},
    }


def label_map(film: Phantom) -> NDArray[np.uint8]:
    """Join a film's outlines into one map, numbered as :mod:`.writer` says."""
    regions = (
        film.heart,
        film.right_lung,
        film.left_lung,
        film.right_effusion,
        film.left_effusion,
    )
    labels = np.zeros(film.heart.shape, dtype=np.uint8)
    for number, region in enumerate(regions, start=1):
        labels[region] = number
    return labels
