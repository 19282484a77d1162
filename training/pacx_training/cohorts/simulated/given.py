"""Real films with simulated physiology: patients who could have such a film.

What is known of a film (its findings, the patient's age, and heart and lungs where a column gives
their size or a bundle measures them) narrows down the latent state; electrocardiogram and
laboratory values are drawn from that state. Films of one patient share a patient in the cohort,
but their states are drawn one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pacx.errors import CohortError
from pacx.preprocessing import PreprocessingSpec
from pacx_training.cohorts.catalogue import Terms
from pacx_training.cohorts.images import prepared
from pacx_training.cohorts.manifest import Cohort
from pacx_training.cohorts.simulated.cohort import FIRST_ADMISSION, truth_of
from pacx_training.cohorts.simulated.patients import SimulatedPatient, patient_given
from pacx_training.cohorts.simulated.physiology import RadiographFacts
from pacx_training.cohorts.simulated.writer import UNKNOWN, Admission, SplitWriter, begin, describe
from pacx_training.cohorts.symile_mimic import SPLITS
from pacx_training.percentiles import Percentiles

CONGESTION = ("Edema",)
EFFUSION = ("Effusion", "Pleural Effusion", "Pleural effusion")
CONSOLIDATION = ("Pneumonia", "Infiltration", "Consolidation")
EMPHYSEMA = ("Emphysema",)
AGE = "age_years"
RATIO = "cardiothoracic_ratio"
HEART_SHARE = "heart_share"
"""Labels of a cohort that narrow down the state; those that it lacks are not known."""


class GivenPlan(BaseModel):
    """How a cohort was made from real films; saved beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    films: Terms
    anatomy: str | None = Field(None, description="Sha256 of the bundle that measured the films.")
    visits: int | None = Field(None, ge=1, description="Films that were drawn; null: all of them.")
    seed: int = Field(0, ge=0, lt=2**63)
    size: int = Field(320, ge=32, le=1024, description="Side of a film, pixels.")


def facts_of(films: Cohort, row: int) -> RadiographFacts:
    """What the labels of one film say of its patient."""
    return RadiographFacts(
        cardiothoracic_ratio=_label(films, row, RATIO),
        heart_share=_label(films, row, HEART_SHARE),
        age_years=_label(films, row, AGE),
        congestion=_any(films, row, CONGESTION),
        effusion=_any(films, row, EFFUSION),
        consolidation=_any(films, row, CONSOLIDATION),
        emphysema=_any(films, row, EMPHYSEMA),
    )


def drawn(films: Cohort, plan: GivenPlan) -> Cohort:
    """As many films as the plan says, drawn by its seed, in their order.

    Raises:
        CohortError: There are not that many.
    """
    if plan.visits is None:
        return films
    if plan.visits > len(films):
        raise CohortError(
            f"Cohort {films.name} has {len(films)} films, of which {plan.visits} cannot be drawn."
        )
    keep = np.zeros(len(films), dtype=np.bool_)
    generator = np.random.default_rng((plan.seed, 2**32))
    keep[generator.choice(len(films), plan.visits, replace=False)] = True
    return films.select(keep)


def write_cohort_given(
    films: Cohort, plan: GivenPlan, folder: Path, *, workers: int = 1
) -> Iterator[int]:
    """Draw a patient for every film and write the cohort in Symile's layout.

    Args:
        films: With the splits ``train``, ``val`` and ``test``, of which the last two may be empty.
        plan: Seed and size.
        folder: Is made; files of an older cohort in it are replaced.
        workers: Processes that simulate; the result does not depend on it.

    Yields:
        The number of films written so far.

    Raises:
        CohortError: There are no films to train on, or one cannot be read.
    """
    if not (films.splits == "train").any():
        raise CohortError(f"Cohort {films.name}: no film belongs to train.")
    begin(folder)
    owners = np.unique(films.patients, return_inverse=True)[1]
    written = 0
    ids: list[tuple[int, int]] = []
    percentiles: Percentiles | None = None
    for split in SPLITS:
        rows = np.flatnonzero(films.splits == split).tolist()
        writer = SplitWriter(folder, split, len(rows), plan.size)
        for admission in _admissions(films, rows, owners.tolist(), plan, workers):
            writer.add(admission)
            written += 1
            yield written
        percentiles = percentiles or Percentiles.fit(*writer.laboratory())
        ids += writer.finish(percentiles)
    describe(folder, ids, {"given": plan.model_dump(mode="json")})


def _admissions(
    films: Cohort, rows: Sequence[int], owners: Sequence[int], plan: GivenPlan, workers: int
) -> Iterator[Admission]:
    pictures = prepared([films.paths[row] for row in rows], PreprocessingSpec(size=plan.size))
    patients = _patients([facts_of(films, row) for row in rows], rows, plan.seed, workers)
    for row, pixels, patient in zip(rows, pictures, patients, strict=True):
        truth = {
            name: value
            for name, value in truth_of(patient).items()
            # The phantom's chest is not the one on the real film.
            if not name.startswith("film_")
        }
        yield Admission(
            number=FIRST_ADMISSION + row,
            patient=owners[row],
            pixels=pixels,
            mask=np.full((plan.size, plan.size), UNKNOWN, np.uint8),
            ecg_mv=patient.ecg_mv,
            laboratory=patient.laboratory,
            truth={"seed": plan.seed, **truth, **_read_off(films, row)},
        )


def _patients(
    facts: Sequence[RadiographFacts], rows: Sequence[int], seed: int, workers: int
) -> Iterator[SimulatedPatient]:
    draw = partial(_draw, seed=seed)
    if workers <= 1 or not rows:
        yield from map(draw, facts, rows)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw, facts, rows, chunksize=8)


def _draw(facts: RadiographFacts, row: int, *, seed: int) -> SimulatedPatient:
    own = int(np.random.SeedSequence((seed, row)).generate_state(1, np.uint64)[0])
    return patient_given(facts, seed=own, size=32)


def _read_off(films: Cohort, row: int) -> dict[str, float | None]:
    """What was known of the film, for those who look at the truth later."""
    return {name: _label(films, row, name) for name in (RATIO, HEART_SHARE)}


def _label(films: Cohort, row: int, name: str) -> float | None:
    if name not in films.label_names:
        return None
    value = float(films.label(name)[row])
    return value if np.isfinite(value) else None


def _any(films: Cohort, row: int, names: Sequence[str]) -> bool | None:
    """Whether any of some findings is labelled; None where none of them is known."""
    known = [value for name in names if (value := _label(films, row, name)) is not None]
    return any(value > 0 for value in known) if known else None
