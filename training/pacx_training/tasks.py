"""What heads are trained for; section ``heads`` of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import nn

from pacx.errors import CohortError
from pacx.manifest import Group
from pacx_training.cohorts.manifest import Cohort
from pacx_training.recipes import RecipeSection

Kind = Literal["binary", "multilabel", "multiclass", "regression"]
Strength = Annotated[float, Field(gt=0)]


class Target(RecipeSection):
    """One output of a head, and the column of the cohort that it learns."""

    label: str = Field(min_length=1, description="As answers name it.")
    column: str | None = Field(None, description="Of the cohort; null: named as the label.")
    above: float | None = Field(None, description="A finding is present above this value.")
    below: float | None = Field(None, description="A finding is present below this value.")
    unit: str | None = Field(None, description="Of a value, kept for the bundle.")
    logarithm: bool = Field(False, description="Learn the logarithm of a value, which is > 0.")

    def values(self, cohort: Cohort) -> NDArray[np.float32]:
        """Its column ``[N]``; NaN is unknown.

        Raises:
            CohortError: The cohort has no such column, or a logarithm has no meaning.
        """
        values = cohort.label(self.column or self.label)
        if self.logarithm and (values[np.isfinite(values)] <= 0).any():
            raise CohortError(f"{self.label} has values of zero or less, so no logarithm.")
        return values

    def present(self, cohort: Cohort) -> NDArray[np.bool_]:
        """Where the finding is present, bool ``[N]``; false where unknown."""
        values = self.values(cohort)
        if self.above is None and self.below is None:
            return np.asarray(values > 0)
        high = values > (np.inf if self.above is None else self.above)
        low = values < (-np.inf if self.below is None else self.below)
        return np.asarray(high | low)

    def learnt(self, cohort: Cohort) -> NDArray[np.float64]:
        """The finding as 1 or 0, ``[N]``; NaN where unknown."""
        known = np.isfinite(self.values(cohort))
        return np.where(known, self.present(cohort), np.nan)


class Task(RecipeSection):
    """One head: a name, a kind, and what it learns."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_\-]*$", description="Of the head, in the bundle.")
    kind: Kind = "multilabel"
    targets: tuple[Target, ...] = Field(min_length=1)
    group: Group = "radiology"
    hidden: int | None = Field(None, ge=1, description="Width of one hidden layer; null: linear.")
    class_weights: Literal["balanced"] | None = Field(
        None, description="Balanced: all classes weigh the same; probabilities are set right after."
    )
    simulated: bool | None = Field(
        None, description="Whether the targets are simulated; null: if the cohort is."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Task:
        if hasattr(nn.ModuleDict, self.name):
            raise ValueError("torch keeps that name for itself")
        if self.kind == "binary" and len(self.targets) != 1:
            raise ValueError("a binary task has one target")
        if self.kind == "multiclass" and len(self.targets) < 2:
            raise ValueError("a multiclass task has two targets or more")
        cut = any(t.above is not None or t.below is not None for t in self.targets)
        measured = any(t.unit is not None or t.logarithm for t in self.targets)
        if cut and self.kind == "regression":
            raise ValueError("above and below belong to findings")
        if self.class_weights and self.kind == "regression":
            raise ValueError("class_weights belong to findings")
        if measured and self.kind != "regression":
            raise ValueError("unit and logarithm belong to a regression")
        return self


class PerceptronSettings(RecipeSection):
    """How heads with a hidden layer are trained, by AdamW, until validation no longer improves."""

    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    dropout: float = Field(0.1, ge=0, lt=1, description="Of the hidden layer.")
    batch_size: int = Field(512, ge=1)
    epochs: int = Field(200, ge=1, description="At most.")
    patience: int = Field(20, ge=1, description="Epochs without a better validation loss.")
    validation_share: float = Field(
        0.2, gt=0, lt=1, description="Of the patients, left out of the fit to stop it early."
    )


class HeadsRecipe(RecipeSection):
    """How heads are trained: ``findings`` are short for a multilabel task, ``tasks`` are more."""

    name: str = Field("findings", description="Of the head of the findings, in the bundle.")
    findings: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    read_outs: tuple[str, ...] = Field((), description="Reported as sanity checks, not kept.")
    confounded_with: str | None = Field(
        None,
        description="Other findings are validated on the positive films of this one alone, "
        "because their labels are confounded with it.",
    )
    inverse_regularisation: tuple[Strength, ...] = Field(
        (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), min_length=1
    )
    penalties: tuple[Strength, ...] = Field(
        (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4),
        min_length=1,
        description="Of ridge regression.",
    )
    perceptron: PerceptronSettings = PerceptronSettings()
    folds: int = Field(5, ge=2, description="Patient-grouped folds within train.")
    replicates: int = Field(2000, ge=1, description="Bootstrap samples of an interval.")
    seed: int = Field(0, ge=0, lt=2**32, description="scikit-learn takes no greater one.")

    @property
    def all_tasks(self) -> tuple[Task, ...]:
        """Every head to be trained, regressions last, as a bundle wants them."""
        targets = tuple(Target(label=label) for label in self.findings)
        short = (Task(name=self.name, targets=targets),) if targets else ()
        return tuple(sorted((*short, *self.tasks), key=lambda task: task.kind == "regression"))

    @model_validator(mode="after")
    def _has_distinct_tasks(self) -> HeadsRecipe:
        if not self.findings and not self.tasks:
            raise ValueError("name findings or tasks")
        names = [task.name for task in self.all_tasks]
        labels = [target.label for task in self.all_tasks for target in task.targets]
        if len(set(names)) < len(names) or len(set(labels)) < len(labels):
            raise ValueError("two tasks or two targets have the same name")
        return self
