"""``pacx train mae`` from films to a run that the next step can read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from pacx.cli import app
from pacx.errors import CohortError, RecipeError
from pacx_training.cohorts.cache import CachedFilms
from pacx_training.curves import read_curve
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.mae import MaskedAutoencoder, Reconstruction, patchify
from pacx_training.pretraining import MaeRecipe, MaskedFilms, MaskedStep, pretrain
from pacx_training.recipes import read_section
from pacx_training.runs import Environment, RunDirectory
from pacx_training.sampling import Draws, Rows
from tests.training.phantom_films import write_phantoms


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 18 phantoms of 9 patients, two of them held out."""
    return write_phantoms(tmp_path_factory.mktemp("films"), 18, held_out=4, of_a_patient=2)


def _train(films: Path, run: Path, *options: str) -> None:
    arguments = ["train", "mae", "--recipe", "smoke", "--data", str(films), "-o", str(run)]
    answer = CliRunner().invoke(app, [*arguments, *options], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output


@pytest.fixture(scope="module")
def trained(films: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of the recipe ``smoke`` on phantoms, for a few more epochs."""
    run = tmp_path_factory.mktemp("runs") / "stage-1"
    _train(films, run, "--set", "loop.epochs=24")
    return RunDirectory(run)


def test_the_loss_falls_on_films_it_did_not_see(trained: RunDirectory) -> None:
    learnt, held_out = (read_curve(trained.metrics, name) for name in ("loss", "validation/loss"))
    assert learnt.values[-1] < 0.9 * learnt.values[0]
    assert held_out.values[-1] < 0.9 * held_out.values[0]


def test_a_run_says_all_about_itself(trained: RunDirectory, films: Path) -> None:
    assert trained.load_encoder().config.architecture == "vit_tiny_patch16_64"
    saved = yaml.safe_load(trained.recipe.read_text())["mae"]
    assert saved["loop"]["epochs"] == 24
    assert saved["mask_ratio"] == 0.9
    assert saved["flip_probability"] == 0
    provenance = trained.load_provenance()
    assert provenance.initialisation == "random"
    assert [(source.name, source.films, source.patients) for source in provenance.sources] == [
        ("phantoms", 14, 7)
    ]
    environment = (trained.path / "environment.json").read_text()
    assert "accelerate" in Environment.model_validate_json(environment).packages


def test_reconstructions_are_shown(trained: RunDirectory) -> None:
    board = EventAccumulator(str(trained.path / "tensorboard"))
    board.Reload()
    (picture, *_) = board.Images("reconstruction")
    assert (picture.width, picture.height) == (3 * 64, 4 * 64)


def test_a_run_goes_on_from_its_snapshot(
    trained: RunDirectory, films: Path, tmp_path: Path
) -> None:
    """The last epoch again, from a copy without its end."""
    _train(films, tmp_path / "a", "--set", "loop.epochs=3", "--set", "loop.checkpoint_minutes=0")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    *_, newest = sorted((tmp_path / "b" / "checkpoints").iterdir())
    newest.unlink()
    _train(films, tmp_path / "b", "--set", "loop.epochs=3")
    first, second = (
        RunDirectory(tmp_path / name).load_encoder().state_dict() for name in ("a", "b")
    )
    for key, tensor in first.items():
        assert torch.equal(tensor, second[key])
    with pytest.raises(RecipeError, match=r"mask_ratio was 0\.9 and is 0.5"):
        _train(films, tmp_path / "b", "--set", "loop.epochs=3", "--set", "mask_ratio=0.5")


def test_a_film_that_changed_is_another_cohort(films: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(films.parent, tmp_path / "films"))
    brief = ("--set", "loop.epochs=1")
    _train(copy / films.name, tmp_path / "run", *brief)
    with Image.open(copy / "9.png") as film:
        film.rotate(180).save(copy / "9.png")
    with pytest.raises(RecipeError, match="another cohort"):
        _train(copy / films.name, tmp_path / "run", *brief)


def test_another_run_is_the_start(trained: RunDirectory, films: Path, tmp_path: Path) -> None:
    start = trained.load_encoder().state_dict()
    options = ("--set", "loop.epochs=1", "--set", "loop.learning_rate=1e-9")
    _train(films, tmp_path / "next", "--initialisation", str(trained.path), *options)
    run = RunDirectory(tmp_path / "next")
    for key, tensor in run.load_encoder().state_dict().items():
        torch.testing.assert_close(tensor, start[key], atol=1e-6, rtol=0)
    assert run.load_provenance().steps == ("pacx train mae --recipe smoke",) * 2


def _batch(*overrides: str) -> tuple[torch.Tensor, ...]:
    recipe = read_section("smoke", "mae", MaeRecipe, overrides)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 64, 64), dtype=np.uint8)
    films = CachedFilms(pixels, np.arange(6))
    source = MaskedFilms(films, np.ones(6), recipe, patches=16, augmented=True)
    draws = Draws.of_step(0, 0, Rows(start=0, stop=4, total=4))
    return source.batch(np.array([5, 0, 1, 1]), draws)


class Knowing(MaskedAutoencoder):
    """Predicts every patch exactly, as a loss with ``norm_pix_loss`` wants it."""

    def forward(
        self, pixels: torch.Tensor, noise: torch.Tensor, **options: object
    ) -> Reconstruction:
        """The answer of one who knows."""
        del options
        patches = patchify(pixels, self.encoder.config.patch_size)
        mean, deviation = patches.mean(2, keepdim=True), patches.std(2, keepdim=True)
        mask = (noise > noise.median()).float()
        return Reconstruction(torch.zeros(()), (patches - mean) / deviation, mask)


def test_reconstructions_have_the_scale_of_the_film_whatever_is_predicted() -> None:
    pictures, boxes, noise = _batch()
    recipe = read_section("smoke", "mae", MaeRecipe, ("norm_pix_loss=true",))
    config = EncoderConfig(image_size=64, patch_size=16, embed_dim=64, depth=1, num_heads=1)
    step = MaskedStep(Knowing(VisionTransformer(config), recipe.decoder), recipe)
    film, _, filled = step.reconstructions(pictures, boxes, noise).chunk(3, dim=1)
    torch.testing.assert_close(filled, film, atol=2e-3, rtol=0)


def test_films_are_cropped_but_not_flipped() -> None:
    (plain, boxes, noise), (mirrored, *_) = _batch(), _batch("flip_probability=1")
    assert torch.equal(plain.flip(2), mirrored)
    assert torch.equal(plain[2], plain[3])
    assert not torch.equal(boxes[2], boxes[3])
    assert not torch.equal(noise[2], noise[3])
    area = boxes[:, 2] * boxes[:, 3]
    assert 0.5 <= area.min() < area.max() <= 1


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        (("architecture=resnet50",), "architecture"),
        (("mask_ratio=1.5",), "mask_ratio"),
        (("loop.batch_size=99",), "fewer films"),
        (("loop=[",), "loop: the value is not valid YAML"),
        (("film_size.side=3",), "film_size holds a value"),
    ],
)
def test_wrong_values_are_refused(
    overrides: tuple[str, ...], error: str, films: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=error):
        pretrain("smoke", [films], tmp_path / "run", overrides=overrides)


def test_another_architecture_is_refused(
    trained: RunDirectory, films: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="another architecture"):
        pretrain(
            "smoke", [films], tmp_path / "run", initialisation=trained.path,
            overrides=("architecture=vit_small_patch16_64",),
        )  # fmt: skip


def test_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no manifest"):
        pretrain("smoke", [tmp_path / "absent.csv"], tmp_path / "run")


@pytest.mark.parametrize("name", ["paper", "small", "smoke"])
def test_recipes_that_come_with_the_package_are_valid(name: str, tmp_path: Path) -> None:
    """They are read before the films are looked for."""
    with pytest.raises(CohortError):
        pretrain(name, [tmp_path / "absent.csv"], tmp_path / "run")


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("crop_scale=[1.0, 0.5]", "mae is refused: crop_scale has its least share first"),
        ("crop_scale=[-1, 2]", "crop_scale.0: Input should be greater than 0"),
        ("decoder.num_heads=3", "decoder: embed_dim must be a multiple of num_heads"),
        (
            "architecture=vit_tiny_patch16_100",
            r"^architecture: image_size must be a multiple of patch_size\.$",
        ),
        ("loop.betas=[0.9, 1.0]", "loop.betas.1: Input should be less than 1"),
        ("loop.epochs=.inf", "loop.epochs: Input should be a finite number"),
        ("loop.seed=9223372036854775808", "loop.seed: Input should be less than"),
    ],
)
def test_what_no_training_can_mean_is_refused_before_anything_is_written(
    override: str, error: str, films: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=error):
        pretrain("smoke", [films], tmp_path / "run", overrides=(override,))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"mae: 3\n", "Section mae is refused: it is no mapping"),
        (b"\xff\xfem\x00a\x00e\x00", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(content: bytes, error: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=error):
        pretrain(str(tmp_path / "recipe.yaml"), [tmp_path], tmp_path / "run")
