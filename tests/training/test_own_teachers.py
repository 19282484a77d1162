"""Stage 2 makes the teachers that nobody named: by their own commands, once, in one process."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from pacx.bundle import open_bundle
from pacx.cli import app
from pacx.errors import RecipeError
from pacx.model_card import missing_statements
from pacx_training.cohorts.paired import SIMULATED
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.provenance import UNTRAINED
from pacx_training.runs import RunDirectory
from pacx_training.teachers.storage import load_card, teacher_digest
from tests.training import watched_process
from tests.training.teachers.published_checkpoint import published

DEADLINE_S = 200


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of an encoder that is quick on any machine."""
    torch.manual_seed(3)
    shape = EncoderConfig(image_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=4)
    run = RunDirectory(tmp_path_factory.mktemp("encoder"))
    run.save_encoder(VisionTransformer(shape))
    run.save_provenance(UNTRAINED)
    return run.path


def arguments(encoder: Path, cohort: Path, output: Path, *options: str) -> list[str]:
    """``pacx train distill`` on the recipe ``smoke`` for one epoch."""
    paths = {"encoder": encoder, "data": cohort, "output": output}
    named = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    brief = ("--recipe", "smoke", "--set", "loop.epochs=1")
    return ["train", "distill", *brief, *named, *options]


def pacx(command: Sequence[str]) -> None:
    """Run a command; what it refuses is raised."""
    CliRunner().invoke(app, command, catch_exceptions=False, standalone_mode=False)


@pytest.fixture(scope="module")
def distilled(
    encoder: Path, cohort: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    """A run of stage 2 to which no teacher was named."""
    run = tmp_path_factory.mktemp("runs") / "stage-2"
    pacx(arguments(encoder, cohort, run))
    return RunDirectory(run)


def copied(run: RunDirectory, folder: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(run.path, folder)))


def test_they_are_those_of_their_own_commands(
    distilled: RunDirectory, cohort: Path, tmp_path: Path
) -> None:
    for name in ("ecg", "labs"):
        output = tmp_path / name
        pacx(["train", name, "--recipe", "smoke", "--data", str(cohort), "-o", str(output)])
        made = distilled.path / name
        assert load_card(made) == load_card(output)
        assert teacher_digest(made) == teacher_digest(output)
        for file in ("recipe.yaml", "inputs.json", "metrics.csv", "provenance.json"):
            assert (made / file).read_bytes() == (output / file).read_bytes()


def test_a_bundle_and_its_card_name_them_and_what_they_were_made_from(
    distilled: RunDirectory, tmp_path: Path
) -> None:
    pacx(
        ["export", "bundle", str(distilled.path), "-o", str(tmp_path / "made"), "--name", "taught"]
    )
    bundle = open_bundle(tmp_path / "made")
    told = bundle.manifest.provenance.teachers
    assert {teacher.modality: teacher.sha256 for teacher in told} == {
        name: teacher_digest(distilled.path / name) for name in ("ecg", "labs")
    }
    assert bundle.manifest.simulated_physiology
    assert missing_statements(bundle) == ()
    card = bundle.path("README.md").read_text()
    for teacher in told:
        _, below = card.split(f"Teacher `{teacher.modality}`, frozen; weights with sha256 `", 1)
        assert below.startswith(f"{teacher.sha256}`. Start: random\n  - {SIMULATED.name} (")
    card = card.replace(told[0].sha256, "")
    bundle.path("README.md").write_text(card)
    assert missing_statements(bundle) == ("teacher ecg",)


def test_called_again_nothing_is_made_again(
    distilled: RunDirectory, encoder: Path, cohort: Path, tmp_path: Path
) -> None:
    run = copied(distilled, tmp_path / "run")
    names = ("metrics.csv", "model.safetensors", "ecg/metrics.csv", "ecg/model.safetensors")
    before = {name: (run.path / name).read_bytes() for name in names}
    pacx(arguments(encoder, cohort, run.path))
    assert {name: (run.path / name).read_bytes() for name in names} == before


def test_a_teacher_without_its_snapshots_is_taken_as_it_is(
    distilled: RunDirectory, encoder: Path, cohort: Path, tmp_path: Path
) -> None:
    run = copied(distilled, tmp_path / "run")
    shutil.rmtree(run.path / "labs" / "checkpoints")
    before = (run.path / "labs" / "metrics.csv").stat().st_mtime_ns
    pacx(arguments(encoder, cohort, run.path))
    assert (run.path / "labs" / "metrics.csv").stat().st_mtime_ns == before


def test_what_a_teacher_was_told_may_not_change(
    distilled: RunDirectory, encoder: Path, cohort: Path, tmp_path: Path
) -> None:
    run, recipe = copied(distilled, tmp_path / "run"), tmp_path / "recipe.yaml"
    text = (distilled.path / "labs" / "recipe.yaml").read_text()
    recipe.write_text(text.replace("corruption: 0.15", "corruption: 0.3") + _sections(distilled))
    with pytest.raises(RecipeError, match=r"corruption was 0\.15 and is 0\.3"):
        pacx(arguments(encoder, cohort, run.path, "--recipe", str(recipe)))


def _sections(run: RunDirectory) -> str:
    """What the run was told of stage 2 and of its teacher of electrocardiograms, as YAML."""
    return run.recipe.read_text() + (run.path / "ecg" / "recipe.yaml").read_text()


def test_a_modality_that_is_off_has_no_teacher(encoder: Path, cohort: Path, tmp_path: Path) -> None:
    pacx(arguments(encoder, cohort, tmp_path, "--set", "ecg=false"))
    assert (tmp_path / "labs" / "teacher.json").is_file()
    assert not (tmp_path / "ecg").exists()


def test_ecgfounder_is_imported_once(encoder: Path, cohort: Path, tmp_path: Path) -> None:
    checkpoint, run = tmp_path / "12_lead_ECGFounder.pth", tmp_path / "run"
    torch.save({"state_dict": published()}, checkpoint)
    only = ("--set", "labs=false")
    pacx(arguments(encoder, cohort, run, "--ecgfounder", str(checkpoint), *only))
    teacher = RunDirectory(run / "ecg")
    told = teacher.load_provenance()
    (source,) = told.sources
    assert source.name == "ECGFounder"
    assert hashlib.sha256(checkpoint.read_bytes()).hexdigest() in told.initialisation
    (taught,) = RunDirectory(run).load_provenance().teachers
    assert (taught.sources, taught.initialisation) == (told.sources, told.initialisation)
    assert not teacher.begun
    before = teacher_digest(teacher.path)
    pacx(arguments(encoder, cohort, run, *only))
    assert teacher_digest(teacher.path) == before


def test_ecgfounder_takes_no_trained_teachers_place(
    distilled: RunDirectory, encoder: Path, cohort: Path, tmp_path: Path
) -> None:
    run, before = copied(distilled, tmp_path / "run"), teacher_digest(distilled.path / "ecg")
    with pytest.raises(RecipeError, match="another training"):
        pacx(arguments(encoder, cohort, run.path, "--ecgfounder", str(tmp_path / "none.pth")))
    assert teacher_digest(run.path / "ecg") == before


def test_a_teacher_of_another_folder_is_asked_for_before_one_is_made(
    distilled: RunDirectory, encoder: Path, cohort: Path, tmp_path: Path
) -> None:
    run = copied(distilled, tmp_path / "run")
    elsewhere = shutil.move(run.path / "labs", tmp_path / "labs")
    pacx(arguments(encoder, cohort, run.path, "--labs", str(elsewhere)))
    with pytest.raises(RecipeError, match="name its run by --labs"):
        pacx(arguments(encoder, cohort, run.path))
    assert not (run.path / "labs").exists()


def test_either_a_teacher_or_ecgfounder(encoder: Path, cohort: Path, tmp_path: Path) -> None:
    both = ("--ecg", str(tmp_path), "--ecgfounder", str(tmp_path / "12_lead_ECGFounder.pth"))
    answer = CliRunner().invoke(app, arguments(encoder, cohort, tmp_path, *both))
    assert answer.exit_code == 2
    assert "--ecgfounder" in answer.output


def test_an_encoder_that_is_none_is_refused_before_teachers_are_made(
    cohort: Path, tmp_path: Path
) -> None:
    answer = CliRunner().invoke(app, arguments(tmp_path / "none", cohort, tmp_path / "run"))
    assert answer.exit_code != 0
    assert not (tmp_path / "run").exists()


def test_of_two_processes_one_writes(
    distilled: RunDirectory, encoder: Path, cohort: Path, tmp_path: Path
) -> None:
    """The whole command, teachers and all; the other one may fill caches, and holds their locks."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        watched_process.__file__, str(tmp_path), *arguments(encoder, cohort, tmp_path / "run"),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, env=environment, check=True, timeout=DEADLINE_S)
    first, second = (json.loads((tmp_path / f"written-{n}.json").read_text()) for n in (0, 1))
    assert all(Path(path).parent.name in ("features", "signals") for path in second)
    told = ("recipe.yaml", "inputs.json", "environment.json", "provenance.json", "metrics.csv")
    for folder in ("run", "run/ecg", "run/labs"):
        assert {f"{folder}/{name}" for name in told} <= set(first)
    assert "run/retention.json" in first
    alone, together = distilled.path / "labs", tmp_path / "run" / "labs"
    assert (alone / "inputs.json").read_bytes() == (together / "inputs.json").read_bytes()


@pytest.mark.parametrize(
    ("command", "override", "words"),
    [
        ("labs", "network.analytes=40", "network.analytes must be 50"),
        ("ecg", "network.leads=3", "network.leads must be 12"),
        ("ecg", "network.filters=[]", "network.filters"),
        ("ecg", "network.blocks=[1, 1, 0]", "network.blocks.2"),
        ("ecg", "network.ratio=0.01", "ratio leaves 0 inner channels of 16"),
    ],
)
def test_teachers_that_no_cohort_fits_are_refused_by_their_field(
    command: str, override: str, words: str, tmp_path: Path
) -> None:
    """Recipes are read before cohorts are looked for."""
    arguments = ["--recipe", "smoke", "--data", str(tmp_path), "-o", str(tmp_path / "run")]
    answer = CliRunner().invoke(app, ["train", command, *arguments, "--set", override])
    assert isinstance(answer.exception, RecipeError)
    assert words in answer.exception.detail
    assert not (tmp_path / "run").exists()
