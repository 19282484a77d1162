"""The loop: exact after a kill, the same on one process and two, honest about what it cannot do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pacx.errors import CheckpointError, RecipeError, TrainingError
from pacx_training.curves import read_curve
from pacx_training.loop import LoopRecipe, Stage, train
from pacx_training.runs import RunDirectory
from pacx_training.schedule import CosineSchedule
from pacx_training.snapshots import load_snapshot
from tests.training import line_fitting
from tests.training.line_fitting import Line, recipe, stage

PROGRAM = str(Path(line_fitting.__file__))
DEADLINE_S = 120
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


def _train(
    folder: Path, *overrides: str, dropout: float = 0.0, validation: int | None = None
) -> RunDirectory:
    run = RunDirectory(folder)
    train(stage(dropout=dropout, validation=validation), recipe(*overrides), run)
    return run


def _losses(run: Path) -> tuple[float, ...]:
    return read_curve(RunDirectory(run).metrics, "loss").values


def test_after_kill_9_the_curve_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    """A process that is killed in the middle, then the same call again, dropout and all."""
    whole = _train(tmp_path / "whole", "epochs=60", dropout=0.2)
    folder = tmp_path / "broken"
    command = [sys.executable, PROGRAM, str(folder), "epochs=60", "checkpoint_minutes=0"]
    process = subprocess.Popen(command, env=ENVIRONMENT | {"DROPOUT": "0.2"})
    _wait_for(folder, 40, process)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(DEADLINE_S) == -signal.SIGKILL
    snapshot = load_snapshot(folder / "checkpoints")
    assert snapshot is not None
    assert 40 <= snapshot.step < 360
    broken = _train(folder, "epochs=60", dropout=0.2)
    assert len(_losses(whole.path)) == 360
    assert _losses(broken.path) == _losses(whole.path)
    assert (folder / "line.txt").read_text() == (whole.path / "line.txt").read_text()


def _wait_for(run: Path, steps: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        numbers = [int(path.name[5:13]) for path in (run / "checkpoints").glob("step-*")]
        if numbers and max(numbers) >= steps:
            return
        time.sleep(0.01)
    pytest.fail("the training did not get that far")


def test_two_processes_learn_as_one(tmp_path: Path) -> None:
    one = _train(tmp_path / "one")
    together = _in_two_processes(tmp_path / "two")
    assert not together.returncode, together.stderr
    for name in ("loss", "absolute", "gradient_norm"):
        first = read_curve(one.metrics, name)
        second = read_curve(RunDirectory(tmp_path / "two").metrics, name)
        assert first.steps == second.steps
        np.testing.assert_allclose(first.values, second.values, atol=1e-4)


def test_processes_that_see_different_snapshots_are_refused(tmp_path: Path) -> None:
    """As on two nodes whose run folders are not one: only the first process ever wrote its own."""
    run = _train(tmp_path / "0")
    snapshots = {path: path.read_bytes() for path in run.checkpoints.iterdir()}
    (path,) = snapshots
    digest = path.name.split(".")[1]
    together = _in_two_processes(tmp_path / "{RANK}", "epochs=9")
    assert together.returncode
    # Both processes say it, so that none waits for the other.
    refusal = f"process 0 from step 30 ({digest}), process 1 from the beginning"
    assert together.stderr.count(f"different snapshots: {refusal}") == 2
    assert {path: path.read_bytes() for path in run.checkpoints.iterdir()} == snapshots
    assert not list(tmp_path.glob("1/*"))


def _in_two_processes(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        PROGRAM, str(folder), *overrides,
    ]  # fmt: skip
    environment = ENVIRONMENT | {"DROPOUT": "0"}
    return subprocess.run(
        command, env=environment, check=False, timeout=DEADLINE_S, capture_output=True, text=True
    )


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    whole, parts = _train(tmp_path / "a"), _train(tmp_path / "b", "device_batch=2")
    np.testing.assert_allclose(_losses(whole.path), _losses(parts.path), atol=1e-6)


def test_it_learns_and_measures_films_it_does_not_learn_from(tmp_path: Path) -> None:
    run = _train(tmp_path / "run", "epochs=20", validation=20)
    losses = _losses(run.path)
    assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[:6])
    validation = read_curve(run.metrics, "validation/loss")
    assert validation.steps == tuple(range(6, 121, 6))
    assert validation.values[-1] < validation.values[0]
    assert list((run.path / "tensorboard").iterdir())


def test_films_may_be_measured_less_often_and_always_at_the_end(tmp_path: Path) -> None:
    overrides = ("epochs=3.5", "validation_epochs=2")
    run = _train(tmp_path / "run", *overrides, validation=20)
    assert read_curve(run.metrics, "validation/loss").steps == (12, 21)


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    run = _train(tmp_path / "run")
    before = run.metrics.read_text()
    _train(tmp_path / "run")
    assert run.metrics.read_text() == before


def test_bf16_learns_as_fp32_does(tmp_path: Path) -> None:
    exact, short = _train(tmp_path / "fp32"), _train(tmp_path / "bf16", "precision=bf16")
    np.testing.assert_allclose(_losses(exact.path), _losses(short.path), rtol=0.05)
    snapshot = load_snapshot(short.checkpoints)
    assert snapshot is not None
    assert {tensor.dtype for tensor in snapshot.module.values()} == {torch.float32}


def test_gradients_are_clipped(tmp_path: Path) -> None:
    """With a tiny bound AdamW still steps, but momentum forgets how steep each step was."""
    free, bound = _train(tmp_path / "a"), _train(tmp_path / "b", "clip_norm=1e-4")
    norms = read_curve(free.metrics, "gradient_norm").values
    assert read_curve(bound.metrics, "gradient_norm").values[0] == norms[0] > 1e-2
    assert _losses(free.path) != _losses(bound.path)


def test_a_snapshot_of_another_module_is_refused(tmp_path: Path) -> None:
    run = _train(tmp_path / "run")
    other = Stage(module=nn.Linear(1, 1), training=Line(), save=lambda _: None)
    with pytest.raises(CheckpointError, match=r"unexpected: layers\.0\.bias"):
        train(other, recipe(), run)


class _Diverging(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, inputs: Tensor, _: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.weight / (inputs * 0)).sum()}


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    diverging = Stage(module=_Diverging(), training=Line(), save=lambda _: None)
    with pytest.raises(TrainingError, match="no longer finite after 0 steps"):
        train(diverging, recipe(), RunDirectory(tmp_path))
    assert not list(tmp_path.glob("checkpoints/*"))


@pytest.mark.parametrize("override", ["batch_size=49", "device_batch=3"])
def test_batches_that_do_not_fit_are_refused(override: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="batch_size"):
        train(stage(), recipe(override), RunDirectory(tmp_path))


def test_the_learning_rate_rises_and_falls(tmp_path: Path) -> None:
    run = _train(tmp_path / "run", "epochs=10", "warmup_epochs=2", "final_share=0.1")
    rates = np.array(read_curve(run.metrics, "learning_rate").values)
    assert rates.argmax() in (11, 12)
    assert rates.max() == pytest.approx(0.02)
    assert np.all(np.diff(rates[:12]) > 0)
    assert np.all(np.diff(rates[13:]) < 0)
    schedule = CosineSchedule(steps=100, warmup_steps=0, final_share=0.1)
    assert schedule(0) == 1
    assert schedule(50) == pytest.approx(0.55)
    assert schedule(100) == pytest.approx(0.1)


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch"):
        LoopRecipe.model_validate({"epoch": 3, "batch_size": 8, "learning_rate": 1})
