"""``pacx train labs``: the denoising autoencoder that teaches laboratory values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from pacx_training.cohorts.paired import PairedCohort, read_paired
from pacx_training.cohorts.symile_mimic import ANALYTE_COUNT, SymileSplit
from pacx_training.gradient_cache import Comparing, Representations
from pacx_training.loop import LoopRecipe, Stage, train
from pacx_training.objective import gathered
from pacx_training.provenance import UNTRAINED, record
from pacx_training.recipes import RecipeSection, read_section
from pacx_training.resuming import claim
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws
from pacx_training.teachers.labs import (
    LaboratoryTeacher,
    LaboratoryTeacherConfig,
    hidden_from,
)
from pacx_training.teachers.storage import save_teacher


class LabsRecipe(RecipeSection):
    """How the laboratory teacher is trained; section ``labs`` of a recipe."""

    network: LaboratoryTeacherConfig = LaboratoryTeacherConfig()
    corruption: float = Field(0.15, gt=0, lt=1, description="Share of observed values hidden.")
    loop: LoopRecipe

    @model_validator(mode="after")
    def _fits_the_arrays(self) -> LabsRecipe:
        if self.network.analytes != ANALYTE_COUNT:
            raise ValueError(
                f"network.analytes must be {ANALYTE_COUNT}, as many as the arrays have"
            )
        return self


class LabsStep(Comparing):
    """One step: hide some observed values, reconstruct all.

    The loss is the mean squared error of observed values, and of the hidden among them. Patients
    have different numbers of values, so that means of parts of a batch have not the mean of the
    whole: all its errors and values are counted, of every rank and every part.
    """

    def __init__(self, teacher: LaboratoryTeacher, corruption: float) -> None:
        super().__init__()
        self.teacher = teacher
        self.corruption = corruption

    def represent(self, percentiles: Tensor, observed: Tensor, drawn: Tensor) -> dict[str, Tensor]:
        """Return each patient's errors and how many values they are of, ``[N]``.

        Args:
            percentiles: float ``[N, analytes]``.
            observed: bool ``[N, analytes]``.
            drawn: Uniform numbers, float ``[N, analytes]``.
        """
        hidden = hidden_from(observed, drawn, self.corruption)
        squared = (self.teacher(percentiles, observed & ~hidden) - percentiles) ** 2
        return {
            "observed_error": (squared * observed).sum(1),
            "observed": observed.sum(1),
            "hidden_error": (squared.detach() * hidden).sum(1),
            "hidden": hidden.sum(1),
        }

    def judge(self, representations: Representations) -> dict[str, Tensor]:
        """Return the errors of a value on average, 0 where there is none."""
        told = {name: gathered(values).sum() for name, values in representations.items()}
        return {
            "loss": told["observed_error"] / told["observed"].clamp(min=1),
            "hidden_error": told["hidden_error"] / told["hidden"].clamp(min=1),
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
