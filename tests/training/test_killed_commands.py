"""Whole commands that are killed at any point and called again learn as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from pacx.cli import app
from pacx_training.cohorts.phantom import phantom_radiograph
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.provenance import UNTRAINED
from pacx_training.recipes import RecipeSection, read_section
from pacx_training.runs import RunDirectory

DEADLINE_S = 120
STEPS = 3
"""That a training has gone at least when it is killed."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are the same bit for bit only over as many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Anything(RecipeSection, extra="allow"):
    """A section as it stands in a recipe."""


class Recipes(NamedTuple):
    """The same training; the one that is killed keeps a snapshot of every step."""

    whole: Path
    killed: Path


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Recipes:
    """The recipe ``smoke``, but longer."""
    folder = tmp_path_factory.mktemp("recipes")
    paths = Recipes(folder / "whole.yaml", folder / "killed.yaml")
    for path, minutes in zip(paths, (10, 0), strict=True):
        longer = ("loop.epochs=6", f"loop.checkpoint_minutes={minutes}")
        sections = {
            name: read_section("smoke", name, Anything, longer).model_dump()
            for name in ("mae", "labs", "ecg", "distill")
        }
        sections["ecg"]["loop"] |= {"epochs": 1, "checkpoint_minutes": 10}
        path.write_text(yaml.safe_dump(sections))
    return paths


def kill_after_some_steps(command: Sequence[str], training: RunDirectory) -> None:
    """Run a command in a process of its own until a training of its has gone some steps."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-m", "pacx", *command], env=environment)
    deadline = time.monotonic() + DEADLINE_S
    while not _has_gone(training) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait(DEADLINE_S) == -signal.SIGKILL
    assert _has_gone(training)


def _has_gone(training: RunDirectory) -> bool:
    steps = (int(path.name[5:13]) for path in training.checkpoints.glob("step-*"))
    return any(step >= STEPS for step in steps)


def finish(command: Sequence[str]) -> None:
    answer = CliRunner().invoke(app, command, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output


def assert_same(broken: RunDirectory, whole: RunDirectory) -> None:
    assert broken.metrics.read_bytes() == whole.metrics.read_bytes()
    weights = (run.path / "model.safetensors" for run in (broken, whole))
    assert len({path.read_bytes() for path in weights}) == 1


def test_stage_1(recipes: Recipes, tmp_path: Path) -> None:
    rows = ["path,patient"]
    for seed in range(16):
        pixels = phantom_radiograph(seed, size=64).pixels
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(tmp_path / f"{seed}.png")
        rows.append(f"{seed}.png,{seed}")
    (tmp_path / "films.csv").write_text("\n".join(rows))
    command = ["train", "mae", "--data", str(tmp_path / "films.csv")]
    whole, broken = (RunDirectory(tmp_path / name) for name in ("whole", "broken"))
    finish([*command, "--recipe", str(recipes.whole), "-o", str(whole.path)])
    own = [*command, "-o", str(broken.path)]
    kill_after_some_steps([*own, "--recipe", str(recipes.killed)], broken)
    finish([*own, "--recipe", str(recipes.whole)])
    assert_same(broken, whole)


def test_stage_2_while_a_teacher_learns_and_while_it_learns_itself(
    recipes: Recipes, cohort: Path, tmp_path: Path
) -> None:
    start = RunDirectory(tmp_path / "encoder")
    torch.manual_seed(3)
    shape = EncoderConfig(image_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=4)
    start.save_encoder(VisionTransformer(shape))
    start.save_provenance(UNTRAINED)
    command = ["train", "distill", "--encoder", str(start.path), "--data", str(cohort)]
    whole, broken = (RunDirectory(tmp_path / name) for name in ("whole", "broken"))
    finish([*command, "--recipe", str(recipes.whole), "-o", str(whole.path)])
    own, teacher = [*command, "-o", str(broken.path)], RunDirectory(broken.path / "labs")
    for training in (teacher, broken):
        kill_after_some_steps([*own, "--recipe", str(recipes.killed)], training)
    finish([*own, "--recipe", str(recipes.whole)])
    assert_same(teacher, RunDirectory(whole.path / "labs"))
    assert_same(broken, whole)
