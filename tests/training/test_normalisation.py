"""Encoders that want another normalisation than ImageNet's compute the same once imported."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from pacx.cli import app
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.normalisation import fold_normalisation
from pacx_training.runs import RunDirectory

SIDE = 32
Channels = tuple[float, float, float]

means = st.tuples(*[st.floats(-1, 2)] * 3)
deviations = st.tuples(*[st.floats(0.05, 4)] * 3)


def small_encoder(seed: int) -> VisionTransformer:
    torch.manual_seed(seed)
    config = EncoderConfig(image_size=SIDE, patch_size=8, embed_dim=64, depth=2, num_heads=1)
    return VisionTransformer(config).eval()


def films(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).random((2, SIDE, SIDE), dtype=np.float32)


@given(mean=means, std=deviations, seed=st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_any_normalisation_folds_into_the_patch_embedding(
    mean: Channels, std: Channels, seed: int
) -> None:
    wanted, usual = (
        PreprocessingSpec(size=SIDE, mean=mean, std=std),
        PreprocessingSpec(size=SIDE),
    )
    grey = films(seed)
    with torch.inference_mode():
        as_trained = small_encoder(seed).embed(torch.from_numpy(normalise(grey, wanted)))
    folded = small_encoder(seed)
    fold_normalisation(folded, wanted)
    with torch.inference_mode():
        as_served = folded.embed(torch.from_numpy(normalise(grey, usual)))
    torch.testing.assert_close(as_served, as_trained, rtol=1e-4, atol=1e-4)


@pytest.fixture
def published(tmp_path: Path, timm: ModuleType) -> tuple[Path, torch.nn.Module]:
    """A small ViT as timm's hub holds it, but for what it says of its input."""
    torch.manual_seed(0)
    model = timm.models.VisionTransformer(
        img_size=SIDE, patch_size=8, embed_dim=64, depth=2, num_heads=1, num_classes=0,
        global_pool="token",
    ).eval()  # fmt: skip
    folder = tmp_path / "hub"
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "vit_tiny_patch16_224"}))
    assert isinstance(model, torch.nn.Module)
    return folder, model


def imported(source: Path, output: Path, *options: str) -> Tensor:
    """What the run of an import answers to PaCX's own input, by the command."""
    arguments = ["import", str(source), "-o", str(output), *options]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    pixels = torch.from_numpy(normalise(films(1), PreprocessingSpec(size=SIDE)))
    with torch.inference_mode():
        found: Tensor = RunDirectory(output).load_encoder().eval()(pixels).cls
    return found


def by_timm(model: torch.nn.Module, mean: float, std: float) -> Tensor:
    grey = torch.from_numpy(films(1))[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        found: Tensor = model((grey - mean) / std)
    return found


@pytest.mark.parametrize("named", ["hub", "hub/model.safetensors"])
@pytest.mark.parametrize(
    ("file", "told", "wanted"),
    [
        ("config.json", {"pretrained_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3}}, (0.5, 0.25)),
        ("preprocessor_config.json", {"image_mean": [0.1] * 3, "image_std": [2] * 3}, (0.1, 2.0)),
        ("preprocessor_config.json", {"do_normalize": False}, (0.0, 1.0)),
    ],
)
def test_what_a_hub_says_is_followed(
    published: tuple[Path, torch.nn.Module],
    tmp_path: Path,
    named: str,
    file: str,
    told: dict[str, object],
    wanted: tuple[float, float],
) -> None:
    folder, model = published
    (folder / file).write_text(json.dumps({"architecture": "vit_tiny_patch16_224"} | told))
    found = imported(tmp_path / named, tmp_path / "run")
    torch.testing.assert_close(found, by_timm(model, *wanted), rtol=1e-4, atol=1e-4)


def test_options_say_it_where_no_file_does(
    published: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    folder, model = published
    options = ["--mean", *["0.5"] * 3, "--std", *["0.5"] * 3]
    found = imported(folder / "model.safetensors", tmp_path / "run", *options)
    torch.testing.assert_close(found, by_timm(model, 0.5, 0.5), rtol=1e-4, atol=1e-4)
    (step,) = RunDirectory(tmp_path / "run").load_provenance().steps
    assert step == "pacx import model.safetensors --mean 0.5 0.5 0.5 --std 0.5 0.5 0.5"


@pytest.mark.parametrize(
    "options",
    [["--mean", *["0.5"] * 3], ["--mean", *["0.5"] * 3, "--std", "1", "0", "1"]],
)
def test_half_a_normalisation_is_refused(
    published: tuple[Path, torch.nn.Module], tmp_path: Path, options: list[str]
) -> None:
    arguments = ["import", str(published[0]), "-o", str(tmp_path / "run"), *options]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 2
    assert "--std" in answer.output
    assert not (tmp_path / "run").exists()


def refused(status: int, words: str, *arguments: str | Path) -> bool:
    """Whether an import ends so."""
    answer = CliRunner().invoke(app, ["import", *map(str, arguments)])
    said = str(answer.exception) + answer.output
    return answer.exit_code == status and words in " ".join(said.split())


def test_a_folder_of_hugging_face_is_taken_too(
    published: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    folder, model = published
    (folder / "config.json").write_text(json.dumps({"architectures": ["ViTModel"]}))
    told = {"image_mean": [0.1] * 3, "image_std": [2] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    found = imported(folder, tmp_path / "run")
    torch.testing.assert_close(found, by_timm(model, 0.1, 2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("std", ["[0.5, 0.5, -0.5]", "[0, 1, 1]", "[NaN, 1, 1]", "[1, 1]", '"x"'])
def test_a_normalisation_that_cannot_be_is_refused_by_its_field(
    std: str, published: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    folder, _ = published
    told = f'{{"architecture": "x", "pretrained_cfg": {{"mean": [0.5, 0.5, 0.5], "std": {std}}}}}'
    (folder / "config.json").write_text(told)
    assert refused(1, "config.json: std: ", folder, "-o", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("mean", "std"), [("nan", "1"), ("inf", "1"), ("0", "inf"), ("0", "nan"), ("0", "-1")]
)
def test_options_that_are_no_normalisation_are_refused(
    mean: str, std: str, published: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    options = ["--mean", *[mean] * 3, "--std", *[std] * 3]
    assert refused(2, "three finite numbers", published[0], "-o", tmp_path / "run", *options)


@pytest.mark.parametrize("name", ["heads.json", "anatomy.json", "novelty.json"])
def test_what_was_trained_on_one_encoder_is_not_left_beside_another(
    name: str, published: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    RunDirectory(tmp_path / "run").save_encoder(small_encoder(1))
    (tmp_path / "run" / name).write_text("[]")
    digest = RunDirectory(tmp_path / "run").encoder_digest
    assert refused(1, f"{name} in this folder", published[0], "-o", tmp_path / "run")
    assert RunDirectory(tmp_path / "run").encoder_digest == digest
