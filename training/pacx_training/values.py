"""Heads that estimate measured values, with their error on patients they never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pacx.errors import CohortError
from pacx.manifest import Interval, ValueSpec
from pacx_training.cohorts.manifest import Cohort
from pacx_training.intervals import Scores, resampled_weights
from pacx_training.recipes import RecipeSection
from pacx_training.tasks import HeadsRecipe, Target, Task

_QUANTILES = (0.025, 0.975)
_CONSTANT = 1e-12
"""Share of the greatest square up to which a variance is rounding error."""


class ValueReport(RecipeSection):
    """How one regression fared; held-out means patient-grouped out-of-fold within ``train``."""

    label: str
    unit: str | None
    penalty: float | None = Field(description="Null where there is a hidden layer.")
    training_films: int
    held_out: Interval = Field(description="R2 of what was learnt, such as a logarithm.")
    held_out_error: Interval = Field(description="Mean absolute error in the unit.")
    validation: Interval | None = Field(
        description="R2 over all validation films; null where they all have one value."
    )
    validation_error: Interval | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Scale:
    """How a value becomes what is learnt, standardised, and back."""

    mean: float
    deviation: float
    logarithm: bool

    @classmethod
    def of(cls, values: Scores, target: Target) -> _Scale:
        learnt = np.log(values) if target.logarithm else values
        if len(learnt) == 0 or not learnt.std() > 0:
            raise CohortError(f"{target.label} has no two different known values to learn from.")
        return cls(
            mean=float(learnt.mean()), deviation=float(learnt.std()), logarithm=target.logarithm
        )

    def standardised(self, values: Scores) -> Scores:
        learnt = np.log(values) if self.logarithm else values
        return np.asarray((learnt - self.mean) / self.deviation)

    def decoded(self, standardised: Scores) -> Scores:
        learnt = self.mean + self.deviation * standardised
        return np.asarray(np.exp(learnt) if self.logarithm else learnt)


def standardised(cohort: Cohort, target: Target) -> Scores:
    """What a regression learns, float64 ``[N]``: NaN where the value is unknown.

    Raises:
        CohortError: It is no column of the cohort, or does not vary within ``train``.
    """
    return _scale(cohort, target).standardised(target.values(cohort).astype(np.float64))


def _scale(cohort: Cohort, target: Target) -> _Scale:
    values = target.values(cohort).astype(np.float64)
    return _Scale.of(values[np.isfinite(values) & (cohort.splits == "train")], target)


def measure_value(
    cohort: Cohort,
    estimates: Scores,
    target: Target,
    task: Task,
    recipe: HeadsRecipe,
    penalty: float | None = None,
) -> tuple[ValueSpec, ValueReport]:
    """Measure one value of a task; films where it is unknown are left out.

    Args:
        cohort: Films with the splits ``train`` and ``val``.
        estimates: float64 ``[N]``, standardised, those of ``train`` for patients that the fit
            had not seen.
        target: The value.
        task: What it belongs to.
        recipe: How it is trained.
        penalty: The one that was chosen.

    Raises:
        CohortError: It is no column of the cohort, or does not vary.
    """
    values, patients = target.values(cohort).astype(np.float64), cohort.patients
    train, val = (np.isfinite(values) & (cohort.splits == name) for name in ("train", "val"))
    scale = _scale(cohort, target)
    truth = scale.standardised(values)

    def measured(films: NDArray[np.bool_]) -> tuple[Interval | None, Interval]:
        weights = _resampled(patients[films], recipe)
        share = determination(truth[films], estimates[films], weights)
        return share, absolute_error(values[films], scale.decoded(estimates[films]), weights)

    held_out, held_out_error = measured(train)
    if held_out is None:
        raise CohortError(f"{target.label} hardly varies within train.")
    validation = measured(val) if val.any() else (None, None)
    report = ValueReport(
        label=target.label,
        unit=target.unit,
        penalty=penalty,
        training_films=int(train.sum()),
        held_out=held_out,
        held_out_error=held_out_error,
        validation=validation[0],
        validation_error=validation[1],
    )
    low, high = np.quantile((truth - estimates)[train], _QUANTILES)
    return _spec(report, scale, task, (float(low), float(high))), report


def _spec(
    report: ValueReport, scale: _Scale, task: Task, residuals: tuple[float, float]
) -> ValueSpec:
    return ValueSpec(
        label=report.label,
        group=task.group,
        unit=report.unit,
        mean=scale.mean,
        deviation=scale.deviation,
        logarithm=scale.logarithm,
        residuals=residuals,
        error=report.held_out_error,
        determination=report.held_out,
        simulated=bool(task.simulated),
        training_films=report.training_films,
    )


def absolute_error(truth: Scores, estimates: Scores, weights: Scores) -> Interval:
    """Mean absolute error with a 95 % interval.

    Args:
        truth: float64 ``[N]``.
        estimates: float64 ``[N]``.
        weights: float64 ``[R, N]``, one bootstrap sample of patients per row.
    """
    errors = np.abs(truth - estimates)
    return _interval(float(errors.mean()), weights @ errors / weights.sum(axis=1))


def determination(truth: Scores, estimates: Scores, weights: Scores) -> Interval | None:
    """R2, the share of the variance that the estimates explain; arguments likewise.

    Returns:
        None where the truth does not vary. Samples in which it does not are left out.
    """
    weights = np.vstack([np.ones(len(truth)), weights])
    totals = weights.sum(axis=1)
    means = weights @ truth / totals
    variance = weights @ truth**2 / totals - means**2
    varied = variance > _CONSTANT * np.square(truth).max()
    if not varied[0]:
        return None
    shares = 1 - (weights @ (truth - estimates) ** 2 / totals)[varied] / variance[varied]
    return _interval(float(shares[0]), shares[1:])


def _resampled(patients: NDArray[np.str_], recipe: HeadsRecipe) -> Scores:
    random = np.random.default_rng(recipe.seed)
    strata = np.zeros(len(patients), dtype=np.int64)
    return resampled_weights(strata, patients, recipe.replicates, random)


def _interval(value: float, replicates: Scores) -> Interval:
    low, high = np.quantile(replicates, _QUANTILES)
    return Interval(value=value, low=float(low), high=float(high))
