"""``pacx train agglomerate``: one class token that learns what several encoders tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from typer.testing import CliRunner

from pacx.cli import app
from pacx.errors import CheckpointError, CohortError, RecipeError
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.agglomeration import agglomerate
from pacx_training.cohorts.images import prepared
from pacx_training.curves import read_curve
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.provenance import UNTRAINED, extended
from pacx_training.runs import RunDirectory
from tests.training.phantom_films import write_phantoms

Values = NDArray[np.float64]
SIDE = 32
SHAPE = EncoderConfig(image_size=SIDE, patch_size=8, embed_dim=32, depth=3, num_heads=4)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 60 phantoms, twelve of them held out."""
    return write_phantoms(tmp_path_factory.mktemp("films"), 60, held_out=12)


def encoder_run(path: Path, seed: int, shape: EncoderConfig = SHAPE) -> Path:
    """A run of random weights, loud enough that films differ in what it tells."""
    torch.manual_seed(seed)
    run, encoder = RunDirectory(path), VisionTransformer(shape)
    run.save_encoder(encoder)
    run.save_provenance(extended(UNTRAINED, f"made by seed {seed}", (), (f"limit {seed}",)))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An encoder and two teachers of the same shape."""
    folder = tmp_path_factory.mktemp("runs")
    names = ("start", "token", "patches")
    return {name: encoder_run(folder / name, seed) for seed, name in enumerate(names)}


def taught(runs: dict[str, Path], films: Path, output: Path, *options: str) -> RunDirectory:
    """Run the command."""
    arguments = ["train", "agglomerate", "--recipe", "smoke", "--data", str(films)]
    arguments += ["--encoder", str(runs["start"]), "--class-token", str(runs["token"])]
    arguments += ["--patches", str(runs["patches"]), "-o", str(output)]
    longer = ("--set", "loop.epochs=30", "--set", "loop.learning_rate=3e-3")
    answer = CliRunner().invoke(app, [*arguments, *longer, *options], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return RunDirectory(output)


@pytest.fixture(scope="module")
def trained(
    runs: dict[str, Path], films: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    """The command, run to its end."""
    return taught(runs, films, tmp_path_factory.mktemp("trained") / "run")


def embedded(run: RunDirectory, films: Path, reading: str) -> Values:
    """The class token or the mean patch of every film, float64 ``[N, D]``."""
    paths = [films.parent / f"{seed}.png" for seed in range(60)]
    spec = PreprocessingSpec(size=SIDE)
    pixels = torch.from_numpy(normalise(np.stack(list(prepared(paths, spec))), spec))
    with torch.inference_mode():
        answer = run.load_encoder()(pixels)
    told = answer.cls if reading == "cls" else answer.tokens.mean(1)
    return np.asarray(told, dtype=np.float64)


def unexplained(known: Values, told: Values) -> float:
    """Share of the variance of a reading that a linear map fitted on 48 films leaves on 12."""
    told = (told - told[12:].mean(0)) / told[12:].std(0)
    known = known - known[12:].mean(0)
    ridge = 0.1 * (known[12:] ** 2).mean() * 48 * np.eye(known.shape[1])
    weight = np.linalg.solve(known[12:].T @ known[12:] + ridge, known[12:].T @ told[12:])
    return float(((known[:12] @ weight - told[:12]) ** 2).mean())


@pytest.mark.parametrize("reading", ["cls", "patches"])
def test_the_class_token_tells_more_of_both_teachers_of_films_it_never_saw(
    reading: str, trained: RunDirectory, runs: dict[str, Path], films: Path
) -> None:
    teacher = RunDirectory(runs["token" if reading == "cls" else "patches"])
    told = embedded(teacher, films, reading)
    before = unexplained(embedded(RunDirectory(runs["start"]), films, "cls"), told)
    assert unexplained(embedded(trained, films, "cls"), told) < 0.9 * before


def test_it_begins_with_what_the_class_token_tells_already(trained: RunDirectory) -> None:
    """A map that began at random would explain less than nothing."""
    for name in ("cls_0", "patches_1"):
        assert read_curve(trained.metrics, name).values[0] < 0.95


def test_patches_stay_closer_the_more_that_weighs(
    trained: RunDirectory, runs: dict[str, Path], films: Path, tmp_path: Path
) -> None:
    free = taught(runs, films, tmp_path / "free", "--set", "patches_weight=0")
    moved, unheld = (read_curve(run.metrics, "validation/patches") for run in (trained, free))
    assert moved.values[-1] < 0.5 * unheld.values[-1]


def test_only_the_last_blocks_change(trained: RunDirectory, runs: dict[str, Path]) -> None:
    before = RunDirectory(runs["start"]).load_encoder().state_dict()
    after = trained.load_encoder().state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(("blocks.1.", "blocks.2.", "norm.")) for name in changed)


def test_a_run_tells_whom_it_learnt_from(trained: RunDirectory, runs: dict[str, Path]) -> None:
    story = trained.load_provenance()
    assert story.steps == ("made by seed 0", "pacx train agglomerate --recipe smoke")
    assert {"limit 1", "limit 2"} <= set(story.limitations)
    assert [(source.name, source.films) for source in story.sources] == [("phantoms", 48)]
    assert yaml.safe_load(trained.recipe.read_text())["agglomerate"]["last_blocks"] == 2
    assert not (trained.path / "projections.safetensors").exists()


def test_it_goes_on_with_the_same_teachers_alone(
    trained: RunDirectory, runs: dict[str, Path], films: Path
) -> None:
    finished = trained.metrics.read_bytes()
    taught(runs, films, trained.path)
    assert trained.metrics.read_bytes() == finished
    options = ("loop.epochs=30", "loop.learning_rate=3e-3")
    with pytest.raises(RecipeError, match="another cls of teacher 1"):
        agglomerate(
            "smoke",
            runs["start"],
            [films],
            trained.path,
            class_tokens=[runs["patches"]],
            patches=[runs["patches"]],
            overrides=options,
        )


def test_what_cannot_be_taught_is_refused(
    runs: dict[str, Path], films: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="Name at least one run"):
        agglomerate("smoke", runs["start"], [films], tmp_path / "none")
    larger = encoder_run(tmp_path / "larger", 5, SHAPE.model_copy(update={"image_size": 64}))
    with pytest.raises(CheckpointError, match="another size"):
        agglomerate("smoke", runs["start"], [films], tmp_path / "size", patches=[larger])
    held_out = films.with_name("held-out.csv")
    held_out.write_text("path,patient,split\n0.png,0,val\n")
    with pytest.raises(CohortError, match="no films of the split train"):
        agglomerate(
            "smoke", runs["start"], [held_out], tmp_path / "films", patches=[runs["patches"]]
        )
    assert not any((tmp_path / name).exists() for name in ("none", "size", "films"))
