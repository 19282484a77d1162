"""``pacx train ecg``: an own teacher of electrocardiograms for those who have no ECGFounder.

Two stretches of one record should look alike, and unlike those of other patients (CLOCS, Kiyasseh
et al., ICML 2021): rate, rhythm, axis, conduction and the shape of every wave are what tells
patients apart. The network is a Net1D, as ECGFounder is, with the same 1024 features.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from pacx.errors import CohortError
from pacx.manifest import Provenance, Source
from pacx_training.cohorts.paired import read_paired
from pacx_training.cohorts.symile_mimic import Split
from pacx_training.gradient_cache import Comparing, Representations
from pacx_training.loop import Batch, LoopRecipe, Stage, train
from pacx_training.objective import contrastive_loss, gathered
from pacx_training.processes import is_main
from pacx_training.provenance import UNTRAINED, record
from pacx_training.recipes import RecipeSection, read_section
from pacx_training.resuming import claim, digest, refuse_begun
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws
from pacx_training.teachers.net1d import Net1D, Net1DConfig, import_ecgfounder
from pacx_training.teachers.records import LEADS
from pacx_training.teachers.signals import Signals, filtered_signals, wfdb_signals
from pacx_training.teachers.storage import save_teacher


class EcgRecipe(RecipeSection):
    """How the teacher of electrocardiograms is trained; section ``ecg`` of a recipe."""

    network: Net1DConfig = Net1DConfig(
        base_filters=32, filters=(32, 64, 128, 256, 1024), blocks=(1, 1, 2, 2, 1)
    )
    stretch_samples: int = Field(2500, ge=250, le=5000, description="Of a record, at 500 Hz.")
    lead_dropout: float = Field(0.1, ge=0, lt=1, description="Share of leads that are blanked.")
    gain: float = Field(0.1, ge=0, description="Log of a lead's gain, at most.")
    projection: int = Field(128, ge=2, description="Width in which stretches are compared.")
    temperature: float = Field(0.1, gt=0)
    loop: LoopRecipe

    @model_validator(mode="after")
    def _fits_the_records(self) -> EcgRecipe:
        if self.network.leads != len(LEADS):
            raise ValueError(f"network.leads must be {len(LEADS)}, as many as the records have")
        return self


class EcgStep(Comparing):
    """One step: tell which two stretches are of one record."""

    def __init__(self, teacher: Net1D, recipe: EcgRecipe) -> None:
        super().__init__()
        self.teacher = teacher
        self.projection = nn.Sequential(
            nn.Linear(teacher.dimension, teacher.dimension // 2),
            nn.GELU(),
            nn.Linear(teacher.dimension // 2, recipe.projection),
        )
        self._scale = 1 / recipe.temperature

    def represent(self, first: Tensor, second: Tensor, patients: Tensor) -> dict[str, Tensor]:
        """Return both views of some records.

        Args:
            first: ``[N, 12, L]``.
            second: ``[N, 12, L]``, other stretches of the same records.
            patients: int64 ``[N]``.
        """
        one, two = self.projection(self.teacher(torch.cat([first, second]))).chunk(2)
        return {"first": one, "second": two, "patients": patients}

    def judge(self, representations: Representations) -> dict[str, Tensor]:
        """Return the loss of what was represented, on all ranks together."""
        told = {name: gathered(values) for name, values in representations.items()}
        ones, twos, everyone = told["first"], told["second"], told["patients"]
        loss = contrastive_loss(
            ones,
            twos,
            torch.ones_like(everyone, dtype=torch.bool),
            everyone,
            scale=ones.new_tensor(self._scale),
            smoothing=0.0,
        )
        chance = math.log(max(2, len(everyone)))
        return {"loss": loss, "of_chance": loss.detach() / chance}


class EcgSource:
    """Filtered records of a split, two stretches of each."""

    def __init__(self, signals: Signals, recipe: EcgRecipe) -> None:
        self.weights = np.ones(len(signals.patients))
        self._signals, self._recipe = signals, recipe

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> Batch:
        """Two stretches float32 ``[rows, 12, L]`` and the patients int64 ``[rows]``."""
        records = self._signals.records[indices].astype(np.float32)
        first, second = (self._stretches(records, draws) for _ in range(2))
        return first, second, torch.from_numpy(self._signals.patients[indices])

    def _stretches(self, records: NDArray[np.float32], draws: Draws) -> Tensor:
        recipe, leads = self._recipe, records.shape[1]
        last = records.shape[2] - recipe.stretch_samples
        starts = (draws.uniform() * (last + 1)).astype(np.int64).clip(max=last)
        columns = starts[:, None, None] + np.arange(recipe.stretch_samples)
        cut = np.take_along_axis(records, columns, axis=2)
        gain = np.exp((2 * draws.uniform(leads, 1) - 1) * np.float32(recipe.gain))
        kept = draws.uniform(leads, 1) >= recipe.lead_dropout
        return torch.from_numpy(cut * (gain * kept))


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """What a teacher learns from.

    Attributes:
        signals: Of ``train`` and ``val``.
        sources: Where they come from.
        simulated: Whether no heart ever beat so.
    """

    signals: Mapping[Split, Signals]
    sources: tuple[Source, ...]
    simulated: bool

    @property
    def digest(self) -> str:
        """Changes with the patients of any split, or with what was recorded of them."""
        every = self.signals.values()
        return digest(a.tobytes() for s in every for a in (s.patients, s.records[:, 0, ::500]))


def train_ecg(
    recipe_name: str,
    data: Path,
    output: Path,
    overrides: tuple[str, ...] = (),
    patients: Path | None = None,
) -> None:
    """Train the teacher of electrocardiograms and write its run.

    Args:
        recipe_name: A recipe's name or path.
        data: Cohort in Symile-MIMIC's layout, or a folder of WFDB records.
        output: Run folder; a training that was stopped there goes on.
        overrides: ``key=value`` on the recipe's section ``ecg``.
        patients: Table of admissions and patients.

    Raises:
        RecipeError: The recipe is refused.
        CohortError: The cohort is, or it has no electrocardiograms.
    """
    recipe, run = read_section(recipe_name, "ecg", EcgRecipe, overrides), RunDirectory(output)
    recordings = read_recordings(data, output / "signals", patients)
    claim(run, "ecg", recipe, {"cohort": recordings.digest})
    train(ecg_stage(recipe, recordings), recipe.loop, run)
    record(run, UNTRAINED, f"pacx train ecg --recipe {recipe_name}", recordings.sources)


def read_recordings(data: Path, cache: Path, patients: Path | None = None) -> Recordings:
    """Filter the electrocardiograms of a cohort or of a folder of WFDB records.

    Args:
        data: Either of them.
        cache: Folder where filtered records are kept.
        patients: Table of admissions and patients of a cohort.

    Raises:
        CohortError: There are no electrocardiograms, or one is damaged.
    """
    use = "the teacher of electrocardiograms"
    if next(data.rglob("*.hea"), None) is None:
        cohort = read_paired(data, patients=patients)
        signals = {name: filtered_signals(split, cache) for name, split in cohort.splits.items()}
        return Recordings(signals, cohort.sources(use), cohort.simulated)
    source = Source(
        name=f"WFDB records of {data.name}",
        use=use,
        licence="as their publisher states",
        citation="not stated",
    )
    return Recordings(wfdb_signals(data, cache), (source,), simulated=False)


def ecg_stage(recipe: EcgRecipe, recordings: Recordings) -> Stage:
    """The training as the loop wants it, from a seeded start.

    Raises:
        CohortError: There is nothing to learn from.
    """
    torch.manual_seed(recipe.loop.seed)
    teacher = Net1D(recipe.network)
    training, validation = (recordings.signals[name] for name in ("train", "val"))
    if not len(training.patients):
        raise CohortError("There are no electrocardiograms to learn from.")
    return Stage(
        module=EcgStep(teacher, recipe),
        training=EcgSource(training, recipe),
        validation=EcgSource(validation, recipe) if len(validation.patients) else None,
        save=lambda run: save_teacher(run.path, teacher, simulated=recordings.simulated),
    )


def import_ecg_teacher(checkpoint: Path, output: Path) -> None:
    """Turn ECGFounder's published checkpoint into a teacher's run.

    Of several processes one does, and all wait for it.

    Raises:
        CheckpointError: Not a safe checkpoint, or not ECGFounder's.
        RecipeError: The folder holds a teacher that was trained there.
    """
    run = RunDirectory(output)
    refuse_begun(run)
    if is_main():
        save_teacher(output, import_ecgfounder(checkpoint))
    source = Source(
        name="ECGFounder",
        use="the teacher of electrocardiograms",
        licence="as its publisher states",
        citation="Li J et al. An electrocardiogram foundation model built on over 10 million "
        "recordings. NEJM AI 2025.",
    )
    content = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    start = f"ECGFounder's checkpoint, a file with sha256 {content}"
    told = Provenance(initialisation=start, sources=(), steps=())
    record(run, told, "pacx train ecg --ecgfounder", (source,))
