"""Heads of every kind learn what the embedding holds, and say how wrong they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import expit, softmax
from torch.nn import functional

from pacx.errors import CohortError
from pacx_training.cohorts.manifest import Cohort
from pacx_training.heads import fit_logistic
from pacx_training.multitask import fit_task, train_heads
from pacx_training.perceptron_training import head_loss
from pacx_training.regression import fit_ridge
from pacx_training.softmax import fit_class_temperature
from pacx_training.tasks import HeadsRecipe, PerceptronSettings, Target, Task
from pacx_training.values import ValueReport, determination

Columns = Mapping[str, NDArray[np.floating] | NDArray[np.bool_]]

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


COLOURS = ("red", "green", "blue")


def _colours(share_of_red: float = 1 / 3) -> Cohort:
    """Three classes by the first coordinate, the first of them with a given share."""
    position = EMBEDDINGS[:, 0] + 0.5 * NOISE
    low, high = np.quantile(position, [share_of_red, (1 + share_of_red) / 2])
    classes = np.digitize(position, [low, high])
    return _cohort(dict(zip(COLOURS, np.eye(3)[classes].T, strict=True)))


def _colour_task(**options: object) -> Task:
    targets = [{"label": colour} for colour in COLOURS]
    return Task.model_validate(
        {"name": "colour", "kind": "multiclass", "targets": targets, **options}
    )


@pytest.mark.parametrize("hidden", [None, 16])
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_classes_that_exclude_each_other(hidden: int | None, weights: str | None) -> None:
    """Probabilities sum to one, and their means are the classes' shares also if weighted."""
    cohort = _colours(share_of_red=0.1)
    task = _colour_task(hidden=hidden, class_weights=weights)
    recipe = HeadsRecipe(
        tasks=(task,), folds=3, replicates=50, inverse_regularisation=(1.0, 10.0),
        perceptron=PerceptronSettings(learning_rate=0.01),
    )  # fmt: skip
    (head,), reports = train_heads(cohort, EMBEDDINGS, recipe)
    assert (head.spec.task, head.spec.hidden) == ("multiclass", hidden)
    assert len({finding.temperature for finding in head.spec.findings}) == 1
    assert {finding.threshold for finding in head.spec.findings} == {0.5}
    logits = fit_task(cohort, EMBEDDINGS, task, recipe).logits
    probabilities = softmax(logits / head.spec.findings[0].temperature, axis=1)
    np.testing.assert_allclose(probabilities.mean(axis=0), cohort.labels.mean(axis=0), atol=0.05)
    assert (probabilities.argmax(axis=1) == cohort.labels.argmax(axis=1)).mean() > 0.8
    assert all(report.held_out is not None for report in reports)


def test_two_classes_are_a_softmax_too() -> None:
    cohort = _cohort({"left": EMBEDDINGS[:, 0] < 0, "right": EMBEDDINGS[:, 0] >= 0})
    targets = (Target(label="left"), Target(label="right"))
    (head,), _ = train_heads(
        cohort, EMBEDDINGS, _recipe(Task(name="side", kind="multiclass", targets=targets))
    )
    logits = EMBEDDINGS @ head.weight.T + head.bias
    assert (logits.argmax(axis=1) == cohort.labels.argmax(axis=1)).mean() > 0.95


def test_a_film_of_two_classes_is_refused() -> None:
    columns = {colour: np.ones(FILMS) for colour in COLOURS}
    with pytest.raises(CohortError, match="exclude each other"):
        train_heads(_cohort(columns), EMBEDDINGS, _recipe(_colour_task()))


def test_the_temperature_of_classes_undoes_a_scale() -> None:
    logits = _RANDOM.normal(0, 2, (4000, 3))
    uniform = _RANDOM.random((4000, 1))
    classes = (softmax(logits, axis=1).cumsum(axis=1) < uniform).sum(axis=1)
    assert fit_class_temperature(3 * logits, classes) == pytest.approx(3, rel=0.1)


def test_a_hidden_layer_learns_what_no_line_divides() -> None:
    columns = {"xor": (EMBEDDINGS[:, 0] * EMBEDDINGS[:, 1] > 0).astype(float)}
    areas = []
    for hidden in (None, 64):
        task = Task(name="xor", kind="binary", hidden=hidden, targets=(Target(label="xor"),))
        recipe = HeadsRecipe(
            tasks=(task,), folds=3, replicates=50,
            perceptron=PerceptronSettings(learning_rate=0.01, epochs=300, patience=40),
        )  # fmt: skip
        (head,), (report,) = train_heads(_cohort(columns), EMBEDDINGS, recipe)
        assert not isinstance(report, ValueReport)
        assert report.held_out is not None
        areas.append(report.held_out.value)
    assert areas[0] < 0.65
    assert areas[1] > 0.8
    assert head.hidden_weight is not None
    assert head.hidden_weight.shape == (64, WIDTH)


def test_a_hidden_layer_estimates_several_values_with_gaps() -> None:
    square, straight = EMBEDDINGS[:, 0] ** 2 + NOISE, 5 + EMBEDDINGS[:, 1]
    square[::3], straight[1::3] = np.nan, np.nan
    task = Task(
        name="laboratory", kind="regression", hidden=64,
        targets=(Target(label="a"), Target(label="b")),
    )  # fmt: skip
    settings = PerceptronSettings(learning_rate=0.01, epochs=300, patience=40)
    recipe = HeadsRecipe(tasks=(task,), folds=3, replicates=50, perceptron=settings)
    (head,), _ = train_heads(_cohort({"a": square, "b": straight}), EMBEDDINGS, recipe)
    assert all(value.determination.value > 0.5 for value in head.spec.values)


def test_training_stops_when_left_out_patients_gain_no_more() -> None:
    """Targets that are noise: the longer the training, the worse, so that the start is kept."""
    columns = {"noise": _RANDOM.normal(size=FILMS)}
    task = Task(name="noise", kind="regression", hidden=64, targets=(Target(label="noise"),))
    spread = []
    for patience in (1, 10_000):
        settings = PerceptronSettings(learning_rate=0.05, epochs=100, patience=patience)
        recipe = HeadsRecipe(tasks=(task,), folds=2, replicates=5, perceptron=settings)
        spread.append(fit_task(_cohort(columns), EMBEDDINGS, task, recipe).logits.std())
    assert max(spread) < 0.7, "the best weights stay, however long it went on"


def test_balanced_classes_keep_probabilities_right() -> None:
    rare = EMBEDDINGS[:, 0] + 2 * NOISE > 3.5
    weight, bias = fit_logistic(EMBEDDINGS, rare, 1.0, balanced=True)
    plain, plain_bias = fit_logistic(EMBEDDINGS, rare, 1.0)
    assert not np.allclose(weight, plain)
    shares = [expit(EMBEDDINGS @ w + b).mean() for w, b in ((weight, bias), (plain, plain_bias))]
    assert rare.mean() < 0.15
    np.testing.assert_allclose(shares, rare.mean(), atol=0.03)


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_torch_where_all_is_known(*, weighted: bool) -> None:
    logits, targets = torch.randn(6, 3), torch.eye(3).repeat(2, 1)
    weights = torch.rand(3, 2) + 0.5 if weighted else None
    classes = head_loss(logits, targets, "multiclass", weights)
    per_class = None if weights is None else weights[:, 1]
    wanted = functional.cross_entropy(
        logits, targets.argmax(dim=1), weight=per_class, reduction="sum"
    )
    torch.testing.assert_close(classes, wanted / 6)
    if weights is None:
        several = head_loss(logits, targets, "multilabel", None)
        torch.testing.assert_close(
            several, functional.binary_cross_entropy_with_logits(logits, targets)
        )
    gap = torch.where(targets > 0, torch.nan, targets)
    assert torch.isfinite(head_loss(logits, gap, "multilabel", weights))


@pytest.mark.parametrize(
    "task",
    [
        {"kind": "binary", "targets": [{"label": "a"}, {"label": "b"}]},
        {"kind": "multiclass", "targets": [{"label": "a"}]},
        {"kind": "regression", "targets": [{"label": "a", "above": 1}]},
        {"kind": "multilabel", "targets": [{"label": "a", "unit": "mg"}]},
        {"kind": "regression", "targets": [{"label": "a"}], "class_weights": "balanced"},
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


def test_nothing_is_said_of_a_share_of_no_variance() -> None:
    truth, estimates = np.array([1.0, 1.0, 2.0]), np.array([1.5, 0.5, 2.0])
    weights = np.array([[2.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    found = determination(truth, estimates, weights)
    assert found is not None
    assert np.isfinite([found.value, found.low, found.high]).all()
    assert determination(truth[:2], estimates[:2], weights[:, :2]) is None


@pytest.mark.parametrize(
    "values",
    [
        {"inverse_regularisation": ()},
        {"inverse_regularisation": (0.1, 0.0)},
        {"penalties": ()},
        {"penalties": (-5.0,)},
        {"seed": -1},
        {"seed": 2**32},
    ],
)
def test_grids_and_seeds_that_nothing_can_be_fitted_with_are_refused(
    values: dict[str, object],
) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        HeadsRecipe.model_validate({"findings": ("Edema",)} | values)
