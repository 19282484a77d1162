"""Several heads of different kinds on one frozen encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacx.manifest import HeadSpec
from pacx_training.cohorts.manifest import Cohort
from pacx_training.heads import FindingReport, train_finding
from pacx_training.runs import LinearHead
from pacx_training.tasks import HeadsRecipe, Target, Task
from pacx_training.values import ValueReport, train_value

Report: TypeAlias = FindingReport | ValueReport


def train_heads(
    cohort: Cohort,
    embeddings: NDArray[np.float32],
    recipe: HeadsRecipe,
    *,
    simulated: bool = False,
) -> tuple[tuple[LinearHead, ...], tuple[Report, ...]]:
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
    heads: list[LinearHead] = []
    reports: list[Report] = []
    for task in recipe.all_tasks:
        marked = task.model_copy(
            update={"simulated": simulated if task.simulated is None else task.simulated}
        )
        train = train_values if task.kind == "regression" else train_findings
        head, measured = train(cohort, embeddings, marked, recipe)
        heads.append(head)
        reports += measured
    return tuple(heads), (*reports, *_read_outs(cohort, embeddings, recipe))


def train_findings(
    cohort: Cohort, embeddings: NDArray[np.float32], task: Task, recipe: HeadsRecipe
) -> tuple[LinearHead, Sequence[Report]]:
    """One logistic regression per finding."""
    trained = [train_finding(cohort, embeddings, t, task, recipe) for t in task.targets]
    head = LinearHead(
        spec=HeadSpec(name=task.name, findings=tuple(spec for _, spec, _ in trained)),
        weight=np.stack([probe.weight for probe, _, _ in trained]).astype(np.float32),
        bias=np.array([probe.bias for probe, _, _ in trained], dtype=np.float32),
    )
    return head, [report for _, _, report in trained]


def train_values(
    cohort: Cohort, embeddings: NDArray[np.float32], task: Task, recipe: HeadsRecipe
) -> tuple[LinearHead, Sequence[Report]]:
    """One ridge regression per value, each on the films where it is known."""
    trained = [train_value(cohort, embeddings, t, task, recipe) for t in task.targets]
    head = LinearHead(
        spec=HeadSpec(
            name=task.name, task="regression", values=tuple(spec for _, spec, _ in trained)
        ),
        weight=np.stack([fit.weight for fit, _, _ in trained]).astype(np.float32),
        bias=np.array([fit.bias for fit, _, _ in trained], dtype=np.float32),
    )
    return head, [report for _, _, report in trained]


def _read_outs(
    cohort: Cohort, embeddings: NDArray[np.float32], recipe: HeadsRecipe
) -> list[FindingReport]:
    if not recipe.read_outs:
        return []
    task = Task(name="read-outs", targets=tuple(Target(label=name) for name in recipe.read_outs))
    return [train_finding(cohort, embeddings, t, task, recipe)[2] for t in task.targets]
