"""A simulated cohort: what the drawn physiology did to film, heart beat and laboratory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx.masks import STRUCTURES
from pacx_evaluation.benchmarks.benchmark import Benchmark, Target
from pacx_evaluation.benchmarks.masks import FilmMasks
from pacx_evaluation.benchmarks.paired_films import PERCENTILES, film_cohort, percentiles
from pacx_training.cohorts.simulated.physiology import STATES as ALL_STATES
from pacx_training.cohorts.simulated.writer import UNKNOWN
from pacx_training.cohorts.symile_mimic import SPLITS, SymileSplit, read_symile

LABELS = (1, 2, 3)
"""Heart, right and left lung in a label map, in the order of ``STRUCTURES``."""
STATES = {
    "heart failure": "heart_failure",
    "congestion": "congestion",
    "renal dysfunction": "renal_dysfunction",
    "anaemia": "anaemia",
    "inflammation": "inflammation",
}
"""Name in reports -> column of the latent state, a standard normal score."""
PRESENT = 1.0
"""A state counts as present from one standard deviation above the mean."""
TARGETS = (
    *(Target(label=name, cut=PRESENT, unit="SD") for name in STATES),
    Target(label="atrial fibrillation"),
    Target(label="cardiothoracic ratio", kind="quantity"),
    Target(label="QRS width", kind="quantity", unit="ms"),
)
CAVEATS = (
    "Films, heart beats and laboratory values were drawn from a model of physiology. Results say "
    "whether a method works as meant, and nothing about patients.",
)


def simulated_benchmark(folder: Path) -> Benchmark:
    """Read a cohort of ``pacx simulate``; its films are written once as PNG beside the arrays.

    Args:
        folder: Holds ``data_npy``, ``patients.csv`` and ``truth``.

    Raises:
        CohortError: A file is missing or malformed, or two splits share a patient.
    """
    splits = read_symile(folder)
    present = [splits[name] for name in SPLITS if len(splits[name])]
    truth = pd.concat([_truth(folder, split) for split in present])
    labels = {name: truth[column].to_numpy() for name, column in STATES.items()} | {
        "atrial fibrillation": (truth["ecg_rhythm"] == "atrial_fibrillation").to_numpy(),
        "cardiothoracic ratio": truth["film_cardiothoracic_ratio"].to_numpy(),
        "QRS width": truth["ecg_qrs_width_ms"].to_numpy(),
    }
    return Benchmark(
        name="simulated",
        title="Simulated physiology",
        cohort=film_cohort("simulated", folder, present, labels),
        targets=TARGETS,
        credit="Simulated by PaCX.",
        caveats=CAVEATS,
        simulated=True,
        paired={
            PERCENTILES: percentiles(present),
            "latent physiology": truth[list(ALL_STATES)].to_numpy(dtype=np.float32),
        },
        masks=_masks(folder, present),
    )


def _masks(folder: Path, present: Sequence[SymileSplit]) -> FilmMasks | None:
    """Exact outlines of phantoms; None where the films are real ones, whose are not known."""
    maps = [_label_map(folder, split) for split in present]
    places = [(part, row) for part, split in enumerate(present) for row in split.rows.tolist()]
    known = np.array([maps[part][row, 0, 0] != UNKNOWN for part, row in places], dtype=np.bool_)

    def read(index: int) -> NDArray[np.float32]:
        part, row = places[index]
        return np.stack([maps[part][row] == number for number in LABELS]).astype(np.float32)

    return FilmMasks(structures=STRUCTURES, known=known, read=read) if known.any() else None


def _label_map(folder: Path, split: SymileSplit) -> NDArray[np.uint8]:
    path = folder / "truth" / f"masks_{split.name}.npy"
    try:
        found: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise CohortError(f"truth/{path.name} cannot be read.") from error
    if found.ndim != 3 or len(found) <= split.rows.max():
        raise CohortError(f"truth/{path.name} does not describe these films.")
    return found


def _truth(folder: Path, split: SymileSplit) -> pd.DataFrame:
    path = folder / "truth" / f"{split.name}.parquet"
    try:
        table = pd.read_parquet(path).set_index("hadm_id")
        return table.loc[split.admissions]
    except (OSError, KeyError, ValueError) as error:
        raise CohortError(f"truth/{path.name} does not describe these admissions.") from error
