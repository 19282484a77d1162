"""``pacx train labs``: the denoising autoencoder that teaches laboratory values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from pacx_training.cohorts.paired import PairedCohort, read_paired
from pacx_training.cohorts.symile_mimic import SymileSplit
from pacx_training.loop import LoopRecipe, Stage, train
from pacx_training.provenance import UNTRAINED, record
from pacx_training.recipes import RecipeSection, read_section
from pacx_training.resuming import claim
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws
from pacx_training.teachers.labs import (
    LaboratoryTeacher,
    LaboratoryTeacherConfig,
    hidden_from,
    masked_squared_error,
)
from pacx_training.teachers.storage import save_teacher


class LabsRecipe(RecipeSection):
    """How the laboratory teacher is trained; section ``labs`` of a recipe."""

    network: LaboratoryTeacherConfig = LaboratoryTeacherConfig()
    corruption: float = Field(0.15, gt=0, lt=1, description="Share of observed values hidden.")
    loop: LoopRecipe


class LabsStep(nn.Module):
    """One step: hide some observed values, reconstruct all."""

    def __init__(self, teacher: LaboratoryTeacher, corruption: float) -> None:
        super().__init__()
        self.teacher = teacher
        self.corruption = corruption

    def forward(self, percentiles: Tensor, observed: Tensor, drawn: Tensor) -> dict[str, Tensor]:
        """Return the squared error of observed values, and of the hidden among them.

        Args:
            percentiles: float ``[N, analytes]``.
            observed: bool ``[N, analytes]``.
            drawn: Uniform numbers, float ``[N, analytes]``.
        """
        hidden = hidden_from(observed, drawn, self.corruption)
        reconstruction = self.teacher(percentiles, observed & ~hidden)
        return {
            "loss": masked_squared_error(reconstruction, percentiles, observed),
            "hidden_error": masked_squared_error(reconstruction.detach(), percentiles, hidden),
        }


class LabsSource:
    """Percentiles and masks of a split."""

    def __init__(self, split: SymileSplit) -> None:
        self.weights: NDArray[np.float64] = np.asarray(split.observed.any(axis=1), np.float64)
        self._percentiles = torch.from_numpy(split.percentiles)
        self._observed = torch.from_numpy(split.observed)

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> tuple[Tensor, ...]:
        """Return percentiles, mask and uniform numbers, ``[rows, analytes]`` each."""
        rows = torch.from_numpy(indices)
        drawn = torch.from_numpy(draws.uniform(self._percentiles.shape[1]))
        return self._percentiles[rows], self._observed[rows], drawn


def train_labs(
    recipe_name: str,
    data: Path,
    output: Path,
    overrides: tuple[str, ...] = (),
    patients: Path | None = None,
) -> None:
    """Train the laboratory teacher and write its run.

    Args:
        recipe_name: A recipe's name or path.
        data: Cohort in Symile-MIMIC's layout.
        output: Run folder; a training that was stopped there goes on.
        overrides: ``key=value`` on the recipe's section ``labs``.
        patients: Table of admissions and patients.

    Raises:
        RecipeError: The recipe is refused.
        CohortError: The cohort is.
    """
    recipe = read_section(recipe_name, "labs", LabsRecipe, overrides)
    cohort, run = read_paired(data, patients=patients), RunDirectory(output)
    claim(run, "labs", recipe, {"cohort": cohort.digest})
    train(labs_stage(recipe, cohort), recipe.loop, run)
    sources = cohort.sources("the laboratory teacher")
    record(run, UNTRAINED, f"pacx train labs --recipe {recipe_name}", sources)


def labs_stage(recipe: LabsRecipe, cohort: PairedCohort) -> Stage:
    """The training as the loop wants it, from a seeded start."""
    torch.manual_seed(recipe.loop.seed)
    teacher = LaboratoryTeacher(recipe.network)
    val = cohort.splits["val"]

    def save(run: RunDirectory) -> None:
        save_teacher(run.path, teacher, simulated=cohort.simulated)

    return Stage(
        module=LabsStep(teacher, recipe.corruption),
        training=LabsSource(cohort.splits["train"]),
        validation=LabsSource(val) if len(val) else None,
        save=save,
    )
