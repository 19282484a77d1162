"""Heads of every kind learn what the embedding holds, and say how wrong they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import Cohort
from pacx_training.multitask import train_heads
from pacx_training.regression import fit_ridge
from pacx_training.tasks import HeadsRecipe, Target, Task
from pacx_training.values import ValueReport

Columns = Mapping[str, NDArray[np.floating]]

PATIENTS, FILMS, WIDTH = 150, 300, 8
_RANDOM = np.random.default_rng(0)
EMBEDDINGS = _RANDOM.normal(0, 2, (FILMS, WIDTH)).astype(np.float32)
NOISE = _RANDOM.normal(0, 0.5, FILMS)


def _cohort(columns: Columns) -> Cohort:
    """Two films per patient; the last fifth of the patients is ``val``."""
    patients = np.repeat(np.arange(PATIENTS), 2)
    return Cohort(
        name="made",
        paths=tuple(Path(f"{film}.png") for film in range(FILMS)),
        patients=patients.astype(np.str_),
        splits=np.where(patients < PATIENTS * 0.8, "train", "val"),
        label_names=tuple(columns),
        labels=np.stack(list(columns.values()), axis=1).astype(np.float32),
        weights=np.ones(FILMS),
    )


def _recipe(*tasks: Task) -> HeadsRecipe:
    return HeadsRecipe(tasks=tasks, folds=3, replicates=50)


def test_ridge_solves_its_normal_equations() -> None:
    targets = EMBEDDINGS @ np.arange(WIDTH) + NOISE
    (weight,), (bias,) = fit_ridge(EMBEDDINGS, targets, (7.0,))
    raw = EMBEDDINGS.astype(np.float64)
    centred = raw - raw.mean(axis=0)
    scale = raw.std(axis=0)
    gradient = centred.T @ (targets - raw @ weight - bias) / scale - 7.0 * weight * scale
    np.testing.assert_allclose(gradient, 0, atol=1e-8)
    assert (targets - raw @ weight - bias).mean() == pytest.approx(0, abs=1e-9)


def test_a_value_keeps_its_unit_and_its_error() -> None:
    values = 40 + 3 * EMBEDDINGS[:, 0] + NOISE
    values[::7] = np.nan
    target = Target(label="Glucose", unit="mg/dL")
    recipe = _recipe(
        Task(name="laboratory", kind="regression", group="physiology", targets=(target,))
    )
    (head,), (report,) = train_heads(_cohort({"Glucose": values}), EMBEDDINGS, recipe)
    (spec,) = head.spec.values
    assert (spec.label, spec.unit, spec.group, spec.simulated) == (
        "Glucose", "mg/dL", "physiology", False,
    )  # fmt: skip
    assert spec.training_films == int(np.isfinite(values[: int(FILMS * 0.8)]).sum())
    # Noise of standard deviation 0.5 has a mean absolute value of 0.4.
    assert spec.error.low < 0.4 < spec.error.high
    assert spec.determination.value > 0.98
    assert isinstance(report, ValueReport)
    assert report.validation_error is not None
    logits = EMBEDDINGS @ head.weight[0] + head.bias[0]
    inside = (
        (spec.residuals[0] <= (values - spec.mean) / spec.deviation - logits)
        & ((values - spec.mean) / spec.deviation - logits <= spec.residuals[1])
    )[np.isfinite(values)]
    assert 0.9 < inside.mean() < 1


def test_a_logarithm_is_learnt_where_asked_for() -> None:
    values = np.exp(1 + EMBEDDINGS[:, 1] + NOISE)
    cohort = _cohort({"NT-proBNP": values})

    def determination(*, logarithm: bool) -> float:
        target = Target(label="NT-proBNP", unit="pg/mL", logarithm=logarithm)
        recipe = _recipe(Task(name="laboratory", kind="regression", targets=(target,)))
        (head,), _ = train_heads(cohort, EMBEDDINGS, recipe)
        return head.spec.values[0].determination.value

    assert determination(logarithm=True) > 0.9 > determination(logarithm=False)


def test_a_logarithm_of_nothing_is_refused() -> None:
    target = Target(label="Troponin", logarithm=True)
    recipe = _recipe(Task(name="laboratory", kind="regression", targets=(target,)))
    with pytest.raises(CohortError, match="no logarithm"):
        train_heads(_cohort({"Troponin": np.zeros(FILMS)}), EMBEDDINGS, recipe)


def test_a_value_that_does_not_vary_is_refused() -> None:
    recipe = _recipe(Task(name="laboratory", kind="regression", targets=(Target(label="Sodium"),)))
    with pytest.raises(CohortError, match="no two different"):
        train_heads(_cohort({"Sodium": np.full(FILMS, 140.0)}), EMBEDDINGS, recipe)


def test_held_out_errors_are_of_patients_that_no_fit_saw() -> None:
    """Films of one patient are alike, so that a fit that had seen a patient would know better."""
    identity = np.eye(PATIENTS, dtype=np.float32).repeat(2, axis=0)
    values = np.repeat(_RANDOM.normal(size=PATIENTS), 2)
    recipe = _recipe(Task(name="laboratory", kind="regression", targets=(Target(label="x"),)))
    (head,), _ = train_heads(_cohort({"x": values}), identity, recipe)
    assert head.spec.values[0].determination.value < 0.05


def test_high_and_low_are_cuts_of_a_measured_column() -> None:
    values = 1 + 0.3 * EMBEDDINGS[:, 0] + 0.1 * NOISE
    values[:10] = np.nan
    targets = (
        Target(label="High creatinine", column="creatinine", above=1.3),
        Target(label="Low creatinine", column="creatinine", below=0.6),
    )
    task = Task(name="levels", group="physiology", simulated=True, targets=targets)
    (head,), reports = train_heads(_cohort({"creatinine": values}), EMBEDDINGS, _recipe(task))
    assert [finding.label for finding in head.spec.findings] == [t.label for t in targets]
    assert all(finding.simulated for finding in head.spec.findings)
    assert {finding.group for finding in head.spec.findings} == {"physiology"}
    train = int(FILMS * 0.8)
    counts = [(values[:train] > 1.3).sum(), (values[:train] < 0.6).sum()]
    assert [finding.training_positives for finding in head.spec.findings] == counts
    for report in reports:
        assert not isinstance(report, ValueReport)
        assert report.held_out is not None
        assert report.held_out.value > 0.95


def test_what_is_simulated_says_so_without_being_asked() -> None:
    values = {"a": EMBEDDINGS[:, 0] > 0, "b": EMBEDDINGS[:, 1]}
    tasks = (
        Task(name="b", kind="regression", targets=(Target(label="b"),)),
        Task(name="a", kind="binary", targets=(Target(label="a"),)),
    )
    heads, _ = train_heads(
        _cohort({key: column.astype(float) for key, column in values.items()}),
        EMBEDDINGS, _recipe(*tasks), simulated=True,
    )  # fmt: skip
    assert [head.spec.name for head in heads] == ["a", "b"], "regressions come last"
    assert heads[0].spec.findings[0].simulated
    assert heads[1].spec.values[0].simulated


@pytest.mark.parametrize(
    "task",
    [
        {"kind": "binary", "targets": [{"label": "a"}, {"label": "b"}]},
        {"kind": "multiclass", "targets": [{"label": "a"}]},
        {"kind": "regression", "targets": [{"label": "a", "above": 1}]},
        {"kind": "multilabel", "targets": [{"label": "a", "unit": "mg"}]},
        {"kind": "multilabel", "targets": []},
        {"name": "values", "targets": [{"label": "a"}]},
    ],
)
def test_tasks_that_make_no_sense_are_refused(task: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Task.model_validate({"name": "x", **task})


def test_two_targets_of_one_name_are_refused() -> None:
    task = Task(name="more", targets=(Target(label="Edema"),))
    with pytest.raises(ValidationError, match="same name"):
        HeadsRecipe(findings=("Edema",), tasks=(task,))
