"""Stage 2 from a cohort to a run: what it writes, what it leaves alone, what it refuses."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

from pacx.cli import app
from pacx.errors import CheckpointError, RecipeError
from pacx.manifest import Provenance
from pacx_training.cohorts.paired import grey_films, read_paired
from pacx_training.curves import read_curve
from pacx_training.distillation import DistillationRecipe, PairedFilms, distill, distillation_stage
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.mae import DecoderConfig, MaskedAutoencoder
from pacx_training.pretraining import MaeRecipe, MaskedStep
from pacx_training.recipes import read_section, save_section
from pacx_training.retention import Retention, linear_cka
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws, Rows
from pacx_training.snapshots import Snapshot, save_snapshot
from pacx_training.teachers.ecg import train_ecg
from pacx_training.teachers.features import ecg_features, labs_features
from pacx_training.teachers.labs_training import train_labs
from pacx_training.teachers.storage import load_card


@dataclass(frozen=True, slots=True)
class Runs:
    """Stage 1, the two teachers, and the cohort that they come from."""

    encoder: Path
    ecg: Path
    labs: Path
    cohort: Path

    def distil(self, output: Path, *overrides: str) -> RunDirectory:
        """Run one epoch of stage 2."""
        distill(
            "smoke",
            self.encoder,
            self.cohort,
            output,
            ecg=self.ecg,
            labs=self.labs,
            overrides=("loop.epochs=1", *overrides),
        )
        return RunDirectory(output)


@pytest.fixture(scope="module")
def runs(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    train_labs("smoke", cohort, folder / "labs", ("loop.epochs=1",))
    train_ecg("smoke", cohort, folder / "ecg", ("loop.epochs=1",))
    stage_1(RunDirectory(folder / "mae"))
    return Runs(folder / "mae", folder / "ecg", folder / "labs", cohort)


def stage_1(run: RunDirectory) -> None:
    """Write a run as ``pacx train mae`` leaves it, its decoder in a snapshot."""
    torch.manual_seed(3)
    shape = EncoderConfig(image_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=4)
    recipe = read_section("smoke", "mae", MaeRecipe).model_copy(
        update={"decoder": DecoderConfig(embed_dim=32, depth=1, num_heads=2)}
    )
    step = MaskedStep(MaskedAutoencoder(VisionTransformer(shape), recipe.decoder), recipe)
    save_snapshot(run.checkpoints, Snapshot(1, dict(step.state_dict()), {}), keep=1)
    run.save_encoder(step.model.encoder)
    run.save_provenance(Provenance(initialisation="random", sources=(), steps=("pacx train mae",)))
    save_section(run.recipe, "mae", recipe)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def distilled(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return runs.distil(tmp_path_factory.mktemp("distilled"))


def test_its_run_is_an_encoders_run_with_a_story(runs: Runs, distilled: RunDirectory) -> None:
    before, after = RunDirectory(runs.encoder).load_encoder(), distilled.load_encoder()
    assert after.state_dict().keys() == before.state_dict().keys()
    changed = {
        name
        for name, tensor in before.state_dict().items()
        if not torch.equal(tensor, after.state_dict()[name])
    }
    layers = ("attn.qkv", "mlp.fc1", "mlp.fc2")
    adapted = {f"blocks.{block}.{layer}.weight" for block in range(2) for layer in layers}
    assert changed == adapted | {"norm.weight", "norm.bias"}
    told = distilled.load_provenance()
    assert [step.split(" --")[0] for step in told.steps] == ["pacx train mae", "pacx train distill"]
    assert [source.simulated for source in told.sources] == [True]
    assert any("simulated patients" in limit for limit in told.limitations)


def test_its_story_names_its_teachers_and_what_they_were_made_from(
    runs: Runs, distilled: RunDirectory, cohort: Path
) -> None:
    told = distilled.load_provenance()
    assert [teacher.modality for teacher in told.teachers] == ["ecg", "labs"]
    for teacher, folder in zip(told.teachers, (runs.ecg, runs.labs), strict=True):
        weights = (folder / "model.safetensors").read_bytes()
        assert teacher.sha256 == hashlib.sha256(weights).hexdigest()
        own = RunDirectory(folder).load_provenance()
        assert (teacher.initialisation, teacher.sources) == ("random", own.sources)
        assert teacher.steps == (f"pacx train {teacher.modality} --recipe smoke",)
        assert [source.simulated for source in teacher.sources] == [True]


def test_a_teacher_that_learnt_from_a_simulation_is_told_of_a_real_cohort(
    runs: Runs, tmp_path: Path
) -> None:
    real = tmp_path / "cohort"
    shutil.copytree(runs.cohort, real)
    (real / "simulation.json").unlink()
    told = replace(runs, cohort=real).distil(tmp_path / "run").load_provenance()
    assert [source.simulated for source in told.sources] == [False]
    assert told.simulated
    (limit,) = told.limitations
    assert limit.startswith("What taught the encoder physiology")


def test_a_teacher_of_unknown_origin_is_refused_before_anything_is_learnt(
    runs: Runs, tmp_path: Path
) -> None:
    labs = tmp_path / "labs"
    shutil.copytree(runs.labs, labs)
    (labs / "provenance.json").unlink()
    with pytest.raises(CheckpointError, match=r"provenance\.json"):
        replace(runs, labs=labs).distil(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_heads_and_the_adapter_lie_beside_it(distilled: RunDirectory) -> None:
    heads = safetensors.torch.load_file(distilled.path / "projections.safetensors")
    shapes = {name: tuple(tensor.shape) for name, tensor in heads.items() if tensor.ndim == 2}
    assert shapes == {
        "cxr_to_shared.1.weight": (32, 64),
        "to_shared.ecg.1.weight": (32, 64),
        "to_shared.labs.1.weight": (32, 32),
        "cxr_to.ecg.1.weight": (64, 64),
        "cxr_to.labs.1.weight": (32, 64),
    }
    assert "log_scale" in heads
    adapter = safetensors.torch.load_file(distilled.path / "adapter.safetensors")
    assert adapter["base_model.model.blocks.1.mlp.fc2.lora_A.weight"].shape == (8, 256)


def test_the_report_says_how_far_features_moved(distilled: RunDirectory) -> None:
    report = Retention.model_validate_json((distilled.path / "retention.json").read_bytes())
    assert report.embedding_cka is not None
    assert 0.5 < report.embedding_cka < 1
    assert 0.5 < report.embedding_cosine < 1
    assert report.reconstruction_before is not None
    assert report.reconstruction_after is not None
    assert report.reconstruction_before != report.reconstruction_after


def test_teachers_are_left_as_they_were(runs: Runs, tmp_path: Path) -> None:
    for folder, features in ((runs.ecg, ecg_features), (runs.labs, labs_features)):
        features(folder, read_paired(runs.cohort).splits["train"])
    before = digests(runs.ecg) | digests(runs.labs) | digests(runs.encoder)
    runs.distil(tmp_path / "again")
    assert digests(runs.ecg) | digests(runs.labs) | digests(runs.encoder) == before
    assert load_card(runs.ecg).simulated


def test_no_gradient_reaches_a_teacher(runs: Runs) -> None:
    recipe = read_section("smoke", "distill", DistillationRecipe)
    cohort, start = read_paired(runs.cohort), RunDirectory(runs.encoder)
    stage = distillation_stage(recipe, start, cohort, {"ecg": runs.ecg, "labs": runs.labs})
    draws = Draws.of_step(0, 0, Rows(start=0, stop=4, total=4))
    batch = [
        tensor.requires_grad_() if tensor.is_floating_point() else tensor
        for tensor in stage.training.batch(np.arange(4), draws)
    ]
    stage.module(*batch)["regression_ecg"].backward()
    assert batch[0].grad is not None
    assert batch[2].grad is None


@pytest.mark.parametrize("off", ["ecg", "labs"])
def test_a_modality_can_be_left_out(off: str, runs: Runs, tmp_path: Path) -> None:
    run = runs.distil(tmp_path, f"{off}=false")
    heads = safetensors.torch.load_file(run.path / "projections.safetensors")
    assert not any(f".{off}." in name for name in heads)
    assert not read_curve(run.metrics, f"contrastive_{off}").values
    assert len(read_curve(run.metrics, "loss").values) > 0


def test_last_blocks_leave_no_adapter(runs: Runs, tmp_path: Path) -> None:
    run = runs.distil(tmp_path, "tuning.lora=null", "tuning.last_blocks=1")
    assert not (run.path / "adapter.safetensors").exists()
    before, after = (r.load_encoder().state_dict() for r in (RunDirectory(runs.encoder), run))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.rsplit(".", 3)[0] for name in changed} >= {"blocks.1"}
    assert all(name.startswith(("blocks.1.", "norm.")) for name in changed)


def test_nothing_to_learn_from_is_refused(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="ecg, labs or both"):
        runs.distil(tmp_path, "ecg=false", "labs=false")


def test_a_map_that_no_block_has_is_refused(tmp_path: Path) -> None:
    overrides = ("tuning.lora.targets=[nope]",)
    with pytest.raises(RecipeError, match=r"tuning\.lora\.targets\.0: .* 'fc2'"):
        distill("smoke", tmp_path, tmp_path, tmp_path / "run", overrides=overrides)


def test_the_command_runs_stage_2(runs: Runs, tmp_path: Path) -> None:
    paths = {"encoder": runs.encoder, "ecg": runs.ecg, "labs": runs.labs, "data": runs.cohort}
    options = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    arguments = ["train", "distill", "--recipe", "smoke", "-o", str(tmp_path), *options]
    answer = CliRunner().invoke(app, [*arguments, "--set", "loop.epochs=1"])
    assert answer.exit_code == 0, answer.output
    assert RunDirectory(tmp_path).load_encoder().config.embed_dim == 64


def test_an_ecg_teacher_is_either_trained_or_taken(runs: Runs, tmp_path: Path) -> None:
    arguments = ["train", "ecg", "-o", str(tmp_path)]
    for both in ([], ["--data", str(runs.cohort), "--ecgfounder", "12_lead_ECGFounder.pth"]):
        answer = CliRunner().invoke(app, [*arguments, *both])
        assert answer.exit_code == 2
        assert "--ecgfounder" in answer.output


def test_films_come_with_what_teachers_say_of_their_patients(runs: Runs) -> None:
    split = read_paired(runs.cohort).splits["train"]
    ecg, labs = ecg_features(runs.ecg, split), labs_features(runs.labs, split)
    source = PairedFilms(split, {"ecg": ecg, "labs": labs}, 64, None)
    indices = np.array([4, 1, 2])
    draws = Draws.of_step(0, 0, Rows(start=0, stop=3, total=3))
    pixels, patients, ecgs, has_ecg, _, has_labs = source.batch(indices, draws)
    np.testing.assert_allclose(pixels.numpy(), [split.film(i) for i in indices], atol=2e-3)
    np.testing.assert_array_equal(patients, split.patients[indices])
    np.testing.assert_array_equal(ecgs, ecg.embeddings[indices])
    np.testing.assert_array_equal(has_ecg, [split.ecg(i) is not None for i in indices])
    assert has_labs.all()


def test_features_are_cached_and_missing_ones_are_zero(runs: Runs) -> None:
    split = read_paired(runs.cohort).splits["train"]
    first = ecg_features(runs.ecg, split)
    assert (first.embeddings[~first.present] == 0).all()
    assert (np.abs(first.embeddings[first.present]).sum(axis=1) > 0).all()
    files = list((runs.ecg / "features").glob("train-*"))
    assert len(files) == 1
    stamp = files[0].stat().st_mtime_ns
    np.testing.assert_array_equal(ecg_features(runs.ecg, split).embeddings, first.embeddings)
    assert files[0].stat().st_mtime_ns == stamp


def test_films_are_grey_again(cohort: Path) -> None:
    split = read_paired(cohort).splits["train"]
    grey = grey_films(split, np.array([0, 1]))
    assert grey.min() >= 0
    assert grey.max() <= 1
    np.testing.assert_allclose((grey[0] - 0.485) / 0.229, split.film(0)[0], atol=1e-2)


def test_alignment_is_blind_to_rotation_and_scale_only() -> None:
    generator = np.random.default_rng(0)
    features = generator.standard_normal((200, 6))
    rotation, _ = np.linalg.qr(generator.standard_normal((6, 6)))
    assert linear_cka(features, 3 * features @ rotation + 5) == pytest.approx(1)
    unrelated = linear_cka(features, generator.standard_normal((200, 6)))
    assert unrelated is not None
    assert unrelated < 0.2
    assert linear_cka(features, np.ones((200, 6))) is None


def test_a_stopped_stage_2_goes_on(runs: Runs, tmp_path: Path) -> None:
    often = ("loop.checkpoint_minutes=0", "loop.batch_size=4")
    whole = runs.distil(tmp_path, *often)
    curve, weights = read_curve(whole.metrics, "loss"), whole.load_encoder().state_dict()
    max(whole.checkpoints.iterdir()).unlink()
    again = runs.distil(tmp_path, *often)
    assert read_curve(again.metrics, "loss") == curve
    assert len(curve.values) > 2
    for name, tensor in again.load_encoder().state_dict().items():
        assert torch.equal(tensor, weights[name])
