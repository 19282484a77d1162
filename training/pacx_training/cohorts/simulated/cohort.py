"""Write a simulated cohort to a folder in Symile-MIMIC's layout, with the truth beside it.

::

    data_npy/{train,val,test}/cxr_{split}.npy              float16 [n, 3, S, S], ImageNet-normalised
                              ecg_{split}.npy              float32 [n, 1, 5000, 12] in [-1, 1]
                              labs_percentiles_{split}.npy float32 [n, 50], mean-filled
                              labs_missingness_{split}.npy int64 [n, 50], 1 = observed
                              hadm_id_{split}.npy          int64 [n]
    patients.csv          hadm_id, subject_id: which visits belong to one patient
    laboratory.csv        the fifty columns: item id, name, unit
    truth/{split}.parquet the latent state, the chest and the heart beat of every visit
    truth/laboratory_{split}.npy  float32 [n, 50], every value, measured or not
    truth/masks_{split}.npy  uint8 [n, S, S]: 0 else, 1 heart, 2 right lung, 3 left lung,
                             4 right effusion, 5 left effusion
    simulation.json       arguments, seed and version
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.cohorts.phantom import Phantom
from pacx_training.cohorts.simulated.electrocardiogram import LEADS
from pacx_training.cohorts.simulated.laboratory import ANALYTES
from pacx_training.cohorts.simulated.patients import SimulatedPatient, simulated_patient
from pacx_training.cohorts.simulated.physiology import STATES
from pacx_training.cohorts.symile_mimic import FILE_LEADS, SPLITS, Split
from pacx_training.percentiles import Percentiles

ECG_FULL_SCALE_MV = 4.0
"""One in the files; Symile scales to [-1, 1], and a fixed scale keeps the voltage."""
_FILE_ORDER = [LEADS.index(lead) for lead in FILE_LEADS]
FIRST_ADMISSION = 10_000_000


class CohortPlan(BaseModel):
    """What to simulate; saved beside the cohort."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    visits: int = Field(1000, ge=10, description="Films, over all splits.")
    seed: int = Field(0, ge=0)
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
    visits = planned_visits(plan)
    written = 0
    percentiles: Percentiles | None = None
    for split in SPLITS:
        mine = [visit for visit in visits if visit.split == split]
        writer = _SplitWriter(folder, split, len(mine), plan.size)
        for visit, patient in zip(mine, _simulate(mine, plan, workers), strict=True):
            writer.add(visit, patient, plan.seed)
            written += 1
            yield written
        values, observed = writer.laboratory()
        # Train comes first: the other splits are described in terms of its percentiles.
        percentiles = percentiles or Percentiles.fit(values, observed)
        writer.finish(percentiles)
    _describe(plan, visits, folder)


def _simulate(visits: list[Visit], plan: CohortPlan, workers: int) -> Iterator[SimulatedPatient]:
    draw = partial(_draw, seed=plan.seed, size=plan.size)
    if workers <= 1:
        yield from map(draw, visits)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw, visits, chunksize=8)


def _draw(visit: Visit, *, seed: int, size: int) -> SimulatedPatient:
    return simulated_patient(seed, patient=visit.patient, visit=visit.number, size=size)


def admission(visit: Visit) -> int:
    """Return a visit's ``hadm_id``."""
    return FIRST_ADMISSION + 10 * visit.patient + visit.number


class _SplitWriter:
    """Writes one split row by row, so that memory stays flat however large the cohort is."""

    def __init__(self, folder: Path, split: Split, count: int, size: int) -> None:
        self._data, self._truth = folder / "data_npy" / split, folder / "truth"
        self._split = split
        self._rows: list[dict[str, object]] = []
        self._data.mkdir(parents=True, exist_ok=True)
        self._truth.mkdir(parents=True, exist_ok=True)
        self._films = self._open(self._data / f"cxr_{split}.npy", "f2", (count, 3, size, size))
        self._ecgs = self._open(self._data / f"ecg_{split}.npy", "f4", (count, 1, 5000, 12))
        self._masks = self._open(self._truth / f"masks_{split}.npy", "u1", (count, size, size))
        self._values = np.zeros((count, len(ANALYTES)), dtype=np.float32)
        self._observed = np.zeros((count, len(ANALYTES)), dtype=np.int64)
        self._admissions = np.zeros(count, dtype=np.int64)

    @staticmethod
    def _open(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
        if shape[0] == 0:
            empty = np.zeros(shape, dtype)
            np.save(path, empty)
            return empty
        opened: NDArray[np.generic] = np.lib.format.open_memmap(path, "w+", dtype, shape)
        return opened

    def add(self, visit: Visit, patient: SimulatedPatient, seed: int) -> None:
        """Write the next row."""
        row = len(self._rows)
        spec = PreprocessingSpec(size=patient.film.pixels.shape[0])
        self._films[row] = normalise(patient.film.pixels[np.newaxis], spec)[0]
        ecg = np.clip(patient.ecg_mv[_FILE_ORDER].T / ECG_FULL_SCALE_MV, -1, 1)
        self._ecgs[row, 0] = np.nan if visit.without_ecg else ecg
        self._masks[row] = label_map(patient.film)
        self._values[row] = patient.laboratory.values
        self._observed[row] = patient.laboratory.observed
        self._admissions[row] = admission(visit)
        self._rows.append(_truth_row(visit, patient, seed))

    def laboratory(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Values and mask of all rows, ``[n, 50]`` each."""
        return self._values, self._observed.astype(bool)

    def finish(self, percentiles: Percentiles) -> None:
        """Write what needs the whole split, and flush."""
        filled = percentiles.transform(self._values, self._observed.astype(bool))
        np.save(self._data / f"labs_percentiles_{self._split}.npy", filled)
        np.save(self._data / f"labs_missingness_{self._split}.npy", self._observed)
        np.save(self._data / f"hadm_id_{self._split}.npy", self._admissions)
        np.save(self._truth / f"laboratory_{self._split}.npy", self._values)
        pd.DataFrame(self._rows).to_parquet(self._truth / f"{self._split}.parquet", index=False)
        for array in (self._films, self._ecgs, self._masks):
            if isinstance(array, np.memmap):
                array.flush()


def label_map(film: Phantom) -> NDArray[np.uint8]:
    """Join a film's outlines into one map, numbered as the module's docstring says."""
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


def _truth_row(visit: Visit, patient: SimulatedPatient, seed: int) -> dict[str, object]:
    return {
        "hadm_id": admission(visit),
        "subject_id": visit.patient,
        "simulated": True,
        "seed": seed,
        **dict(zip(STATES, patient.physiology.scores, strict=True)),
        **{f"film_{name}": value for name, value in asdict(patient.film.truth).items()},
        **{f"ecg_{name}": value for name, value in asdict(patient.beat).items()},
    }


def _describe(plan: CohortPlan, visits: list[Visit], folder: Path) -> None:
    patients = ((admission(visit), visit.patient) for visit in visits)
    _write_csv(folder / "patients.csv", ("hadm_id", "subject_id"), patients)
    columns = ((a.item_id, a.name, a.unit) for a in ANALYTES)
    _write_csv(folder / "laboratory.csv", ("item_id", "name", "unit"), columns)
    facts = {"simulated": True, "pacx": version("pacx"), "plan": plan.model_dump(mode="json")}
    (folder / "simulation.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
