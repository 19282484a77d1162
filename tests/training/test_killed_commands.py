"""Whole commands that are killed at any point and called again learn as if nothing had happened."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import pytest
import torch
import yaml

from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.provenance import UNTRAINED
from pacx_training.recipes import RecipeSection, read_section
from pacx_training.runs import RunDirectory
from tests.training.phantom_films import write_phantoms

PROGRAM = Path(__file__).with_name("forked_commands.py")
DEADLINE_S = 120
STEPS = 3
"""That a training has gone at least when it is killed."""


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
            for name in ("mae", "agglomerate", "labs", "ecg", "distill")
        }
        sections["ecg"]["loop"] |= {"epochs": 1, "checkpoint_minutes": 10}
        path.write_text(yaml.safe_dump(sections))
    return paths


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs commands in processes of their own, see ``forked_commands.py``."""

    asked: IO[bytes]
    told: IO[bytes]

    def begin(self, command: Sequence[str]) -> int:
        """Begin a command and answer its process."""
        self.asked.write(json.dumps(command).encode() + b"\n")
        return self._number()

    def end(self) -> int:
        """Wait for the command's exit status, negative where a signal ended it."""
        return self._number()

    def ended(self, seconds: float) -> bool:
        """Whether the command ended, after some time at the latest."""
        return bool(select.select([self.told], [], [], seconds)[0])

    def _number(self) -> int:
        return int(self.told.readline())


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    """Ready to run commands."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    program, pipe = [sys.executable, str(PROGRAM)], subprocess.PIPE
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, bufsize=0, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Commands(process.stdin, process.stdout)


def kill_after_some_steps(
    commands: Commands, command: Sequence[str], training: RunDirectory
) -> None:
    """Run a command until a training of its has gone some steps, and kill it."""
    process, deadline = commands.begin(command), time.monotonic() + DEADLINE_S
    ended = False
    while not (ended or _has_gone(training) or time.monotonic() > deadline):
        ended = commands.ended(0.002)
    if not ended:
        os.kill(process, signal.SIGKILL)
    assert commands.end() == -signal.SIGKILL
    assert _has_gone(training)


def _has_gone(training: RunDirectory) -> bool:
    steps = (int(path.name[5:13]) for path in training.checkpoints.glob("step-*"))
    return any(step >= STEPS for step in steps)


def finish(commands: Commands, command: Sequence[str]) -> None:
    """Run a command to its end."""
    commands.begin(command)
    assert commands.end() == 0


def assert_same(broken: RunDirectory, whole: RunDirectory) -> None:
    assert broken.metrics.read_bytes() == whole.metrics.read_bytes()
    weights = (run.path / "model.safetensors" for run in (broken, whole))
    assert len({path.read_bytes() for path in weights}) == 1


def encoder_in(folder: Path, seed: int = 3) -> str:
    """Write the run of a random encoder."""
    start = RunDirectory(folder)
    torch.manual_seed(seed)
    shape = EncoderConfig(image_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=4)
    start.save_encoder(VisionTransformer(shape))
    start.save_provenance(UNTRAINED)
    return str(folder)


def assert_killed_is_whole(
    commands: Commands, command: Sequence[str], recipes: Recipes, folder: Path
) -> None:
    whole, broken = (RunDirectory(folder / name) for name in ("whole", "broken"))
    finish(commands, [*command, "--recipe", str(recipes.whole), "-o", str(whole.path)])
    own = [*command, "-o", str(broken.path)]
    kill_after_some_steps(commands, [*own, "--recipe", str(recipes.killed)], broken)
    finish(commands, [*own, "--recipe", str(recipes.whole)])
    assert_same(broken, whole)


def test_stage_1(recipes: Recipes, commands: Commands, tmp_path: Path) -> None:
    command = ["train", "mae", "--data", str(write_phantoms(tmp_path, 16))]
    assert_killed_is_whole(commands, command, recipes, tmp_path)


def test_agglomeration(recipes: Recipes, commands: Commands, tmp_path: Path) -> None:
    command = ["train", "agglomerate", "--data", str(write_phantoms(tmp_path, 16))]
    command += ["--encoder", encoder_in(tmp_path / "encoder")]
    command += ["--class-token", encoder_in(tmp_path / "teacher", seed=4)]
    assert_killed_is_whole(commands, command, recipes, tmp_path)


def test_stage_2_while_a_teacher_learns_and_while_it_learns_itself(
    recipes: Recipes, commands: Commands, cohort: Path, tmp_path: Path
) -> None:
    start = encoder_in(tmp_path / "encoder")
    command = ["train", "distill", "--encoder", start, "--data", str(cohort)]
    whole, broken = (RunDirectory(tmp_path / name) for name in ("whole", "broken"))
    finish(commands, [*command, "--recipe", str(recipes.whole), "-o", str(whole.path)])
    own, teacher = [*command, "-o", str(broken.path)], RunDirectory(broken.path / "labs")
    for training in (teacher, broken):
        kill_after_some_steps(commands, [*own, "--recipe", str(recipes.killed)], training)
    finish(commands, [*own, "--recipe", str(recipes.whole)])
    assert_same(teacher, RunDirectory(whole.path / "labs"))
    assert_same(broken, whole)
