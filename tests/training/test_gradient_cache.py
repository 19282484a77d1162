"""A batch in parts has the negatives, the loss and the gradients of the whole batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pacx_training.curves import read_curve
from pacx_training.gradient_cache import judge_together
from pacx_training.loop import Batch, Stage, train
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws
from tests.training.line_fitting import recipe
from tests.training.two_ranks import FILMS, films, laboratory, measured, student


class _Rows:
    """Eight films, or the records of eight patients, as the loop's source."""

    def __init__(self, columns: Batch) -> None:
        self.weights, self._columns = np.ones(FILMS), columns

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> Batch:
        assert len(draws.uniform()) == len(indices)
        return tuple(column[torch.from_numpy(indices)] for column in self._columns)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_gradients_of_parts_are_those_of_the_whole(size: int) -> None:
    wanted = measured(student(), films())
    step = student()
    whole = wanted.pop("loss")
    parts = [tuple(column[i : i + size] for column in films()) for i in range(0, FILMS, size)]
    with torch.no_grad():
        told = [step.represent(*part) for part in parts]
    answer, gradients = judge_together(step, told)
    torch.testing.assert_close(answer["loss"].detach(), whole)
    for part, gradient in zip(parts, gradients, strict=True):
        torch.autograd.backward(step(*part, gradients=gradient)["loss"])
    found = {name: p.grad for name, p in step.named_parameters() if p.grad is not None}
    assert found.keys() == wanted.keys()
    for name, expected in wanted.items():
        torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=1e-5, msg=name)
    assert wanted["log_scale"].abs() > 1e-4


def test_the_loop_keeps_the_negatives_of_the_whole_batch(tmp_path: Path) -> None:
    curves = []
    for name, overrides in (("whole", ()), ("parts", ("device_batch=2",))):
        run = RunDirectory(tmp_path / name)
        stage = Stage(module=student(), training=_Rows(films()), save=lambda _: None)
        train(stage, recipe("batch_size=8", "epochs=6", "learning_rate=0.003", *overrides), run)
        curves.append([read_curve(run.metrics, c).values for c in ("loss", "contrastive_ecg")])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)
    assert curves[0][0][-1] < curves[0][0][0]


def test_a_batch_of_laboratory_values_in_parts_is_counted_whole(tmp_path: Path) -> None:
    """Patients have one to six values, so that a mean of means would be another loss."""
    curves = []
    for name, overrides in (("whole", ()), ("parts", ("device_batch=2",))):
        run, (step, records) = RunDirectory(tmp_path / name), laboratory()
        stage = Stage(module=step, training=_Rows(records), save=lambda _: None)
        train(stage, recipe("batch_size=8", "epochs=6", "learning_rate=0.003", *overrides), run)
        curves.append([read_curve(run.metrics, c).values for c in ("loss", "hidden_error")])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-5)
