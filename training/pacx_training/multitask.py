"""Several heads of different kinds on one frozen encoder."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacx.manifest import HeadSpec
from pacx_training.cohorts.manifest import Cohort
from pacx_training.fits import Fit, Layers
from pacx_training.heads import FindingReport, fit_probe, measure_finding
from pacx_training.intervals import Scores
from pacx_training.perceptron_training import fit_perceptron
from pacx_training.regression import fit_regression
from pacx_training.runs import TrainedHead
from pacx_training.softmax import classes_of, fit_softmax, measure_classes
from pacx_training.tasks import HeadsRecipe, Target, Task
from pacx_training.values import ValueReport, measure_value, standardised

Report: TypeAlias = FindingReport | ValueReport
Embeddings = NDArray[np.float32]


def train_heads(
    cohort: Cohort, embeddings: Embeddings, recipe: HeadsRecipe, *, simulated: bool = False
) -> tuple[tuple[TrainedHead, ...], tuple[Report, ...]]:
    """Train every head of a recipe and measure it.

    Everything is fitted and chosen on the split ``train``; ``val`` is only reported.

    Args:
        cohort: Labelled films with the splits ``train`` and ``val``.
        embeddings: float32 ``[N, D]``, of all films of the cohort.
        recipe: What to train and how.
        simulated: Whether the labels of tasks that do not say so are simulated.

    Returns:
        The heads, regressions last, and a report per finding, value and read-out.

    Raises:
        CohortError: A target is no label of the cohort or has too few patients.
    """
    heads: list[TrainedHead] = []
    reports: list[Report] = []
    for task in recipe.all_tasks:
        own = simulated if task.simulated is None else task.simulated
        marked = task.model_copy(update={"simulated": own})
        fit = fit_task(cohort, embeddings, marked, recipe)
        spec, measured = _measure(cohort, fit, marked, recipe)
        heads.append(fit.layers.head(spec))
        reports += measured
    return tuple(heads), (*reports, *_read_outs(cohort, embeddings, recipe))


def fit_task(cohort: Cohort, embeddings: Embeddings, task: Task, recipe: HeadsRecipe) -> Fit:
    """Fit one head of any kind.

    Raises:
        CohortError: A target is no label of the cohort or has too few patients.
    """
    if task.kind == "multiclass" and task.hidden is None:
        return fit_softmax(cohort, embeddings, task, recipe)
    columns = [_learnt(cohort, target, task) for target in task.targets]
    if task.hidden is None:
        return _by_column(cohort, embeddings, columns, task, recipe)
    if task.kind == "multiclass":
        classes_of(cohort, task)
    train, targets = cohort.splits == "train", np.stack(columns, axis=1)
    return fit_perceptron(embeddings, targets, train, cohort.patients, task, recipe)


def _learnt(cohort: Cohort, target: Target, task: Task) -> Scores:
    return standardised(cohort, target) if task.kind == "regression" else target.learnt(cohort)


def _by_column(
    cohort: Cohort, embeddings: Embeddings, columns: list[Scores], task: Task, recipe: HeadsRecipe
) -> Fit:
    """One linear regression per column, each on the films where it is known."""
    fits = [
        _linear(cohort, embeddings, column, task, recipe, label=target.label)
        for target, column in zip(task.targets, columns, strict=True)
    ]
    return Fit(
        layers=Layers(
            weight=np.concatenate([fit.layers.weight for fit in fits]),
            bias=np.concatenate([fit.layers.bias for fit in fits]),
        ),
        logits=np.concatenate([fit.logits for fit in fits], axis=1),
        strengths=tuple(strength for fit in fits for strength in fit.strengths),
    )


def _linear(
    cohort: Cohort,
    embeddings: Embeddings,
    column: Scores,
    task: Task,
    recipe: HeadsRecipe,
    *,
    label: str,
) -> Fit:
    train = np.isfinite(column) & (cohort.splits == "train")
    seen, patients = embeddings[train], cohort.patients[train]
    if task.kind == "regression":
        ridge = fit_regression(seen, column[train], patients, recipe)
        weight, bias, held_out, strength = ridge.weight, ridge.bias, ridge.held_out, ridge.penalty
    else:
        balanced = task.class_weights is not None
        probe = fit_probe(seen, column[train] > 0, patients, recipe, label=label, balanced=balanced)
        weight, bias, held_out, strength = probe.weight, probe.bias, probe.held_out, probe.strength
    logits = embeddings @ weight + bias
    logits[train] = held_out
    return Fit(
        layers=Layers(weight=weight[np.newaxis], bias=np.array([bias])),
        logits=logits[:, np.newaxis],
        strengths=(strength,),
    )


def _measure(
    cohort: Cohort, fit: Fit, task: Task, recipe: HeadsRecipe
) -> tuple[HeadSpec, list[Report]]:
    columns = list(zip(fit.logits.T, task.targets, fit.strengths, strict=True))
    if task.kind == "multiclass":
        classes, class_reports = measure_classes(cohort, fit, task, recipe)
        spec = HeadSpec(name=task.name, task="multiclass", hidden=task.hidden, findings=classes)
        return spec, [*class_reports]
    if task.kind == "regression":
        told = [measure_value(cohort, c, t, task, recipe, s) for c, t, s in columns]
        values = tuple(value for value, _ in told)
        spec = HeadSpec(name=task.name, task="regression", hidden=task.hidden, values=values)
        return spec, [report for _, report in told]
    found = [measure_finding(cohort, c, t, task, recipe, s) for c, t, s in columns]
    spec = HeadSpec(name=task.name, hidden=task.hidden, findings=tuple(f for f, _ in found))
    return spec, [report for _, report in found]


def _read_outs(cohort: Cohort, embeddings: Embeddings, recipe: HeadsRecipe) -> list[Report]:
    if not recipe.read_outs:
        return []
    task = Task(name="read-outs", targets=tuple(Target(label=name) for name in recipe.read_outs))
    return _measure(cohort, fit_task(cohort, embeddings, task, recipe), task, recipe)[1]
