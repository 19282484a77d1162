"""``pacx explain --engine torch``: captum's methods find what a trained model sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from pacx.bundle import Bundle
from pacx.cli import app
from pacx.errors import PacxError, UnknownMethod, UnknownTarget
from pacx.explanations import Map, Question, integrated_gradients
from pacx.model import load
from pacx.preprocessing import normalise
from pacx_export.attribution import captum_methods
from pacx_export.torch_engine import TorchEngine
from tests.bright_square import GRID, SPEC, background, trained
from tests.tiny_bundle import LABELS as FINDINGS

BRIGHT, DARK = np.eye(2, dtype=np.float32)
METHODS = captum_methods(trained())


def question(contrast: NDArray[np.float32] = BRIGHT) -> Question:
    """About a film with a bright square in rows 18 to 30 and columns 34 to 46."""
    pixels = background(np.random.default_rng(0))
    pixels[18:30, 34:46] = 1.0
    return Question(
        engine=TorchEngine(trained()), spec=SPEC, grid=GRID, pixels=pixels, contrast=contrast
    )


def explained(method: str, asked: Question) -> Map:
    return METHODS[method].explain(asked)


@pytest.mark.filterwarnings("ignore:Objective did not converge")  # Lime's regression
@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_on_a_grid_and_the_same_every_time(method: str) -> None:
    np.random.seed(3)
    values = explained(method, question())
    assert np.random.random() == np.random.RandomState(3).random(), "the process's own numbers"
    assert values.shape in (GRID, (SPEC.size, SPEC.size))
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert (values.min() < 0) == METHODS[method].signed
    np.testing.assert_array_equal(values, explained(method, question()))


@pytest.mark.parametrize("method", ["IntegratedGradients", "GradientShap", "Occlusion"])
def test_the_square_is_found(method: str) -> None:
    values = explained(method, question())
    row, column = np.unravel_index(values.argmax(), values.shape)
    cell = SPEC.size // len(values)
    assert 18 - cell < row * cell < 30
    assert 34 - cell < column * cell < 46


def test_patches_are_worth_what_hiding_them_costs() -> None:
    asked = question()
    values = explained("FeatureAblation", asked)
    hidden = asked.pixels.copy()
    hidden[16:24, 32:40] = asked.pixels.mean()
    scores = asked.scores(np.stack([asked.pixels, hidden]))
    assert values[2, 4] == pytest.approx(scores[0] - scores[1], abs=1e-3)


def test_layers_are_read_where_patches_enter_the_last_block() -> None:
    asked, classifier = question(), trained()
    encoder = classifier.encoder
    last = encoder.config.depth - 1
    pixels = torch.from_numpy(normalise(asked.pixels[np.newaxis], SPEC))
    tokens = encoder.start(encoder.embed(pixels), blocks=last).requires_grad_()
    logits = classifier.logits(encoder.finish(tokens, blocks=last).cls)
    (gradient,) = torch.autograd.grad(logits[0, 0], tokens)
    patches, slopes = tokens.detach()[0, 1:], gradient[0, 1:]
    weighted = (slopes.mean(dim=0) * patches).sum(dim=1).reshape(GRID)  # Selvaraju et al. 2017
    np.testing.assert_allclose(explained("LayerGradCam", asked), weighted, atol=1e-5)
    product = (slopes * patches).sum(dim=1).reshape(GRID)
    np.testing.assert_allclose(explained("LayerGradientXActivation", asked), product, atol=1e-5)


def test_captum_and_the_graphs_agree_where_both_have_a_method() -> None:
    asked = question()
    pooled = asked.pooled(explained("IntegratedGradients", asked))
    ours = integrated_gradients(asked, steps=50)
    assert np.corrcoef(pooled.ravel(), ours.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("method", ["InputXGradient", "FeatureAblation", "LayerGradCam"])
def test_one_finding_against_another_is_the_difference(method: str) -> None:
    contrasts = (BRIGHT, DARK, BRIGHT - DARK)
    bright, dark, compared = (explained(method, question(contrast)) for contrast in contrasts)
    np.testing.assert_allclose(compared, bright - dark, atol=1e-4)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 50), np.uint8)).save(path)
    return path


def pacx(*arguments: str | Path) -> PacxError | None:
    """Run the command; what it was refused with."""
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(done.exception, PacxError) or done.exit_code == 0, done.output
    return done.exception if isinstance(done.exception, PacxError) else None


def test_the_command_draws_and_writes_maps_of_a_bundle(film: Path, tiny_bundle: Bundle) -> None:
    command = ("explain", film, "--bundle", tiny_bundle.directory, "--engine", "torch")
    asked = ("--method", "InputXGradient", "--target", FINDINGS[0])
    drawn, written = film.with_name("drawn.png"), film.with_name("map.npy")
    assert pacx(*command, *asked, "-o", drawn) is None
    with Image.open(drawn) as picture:
        assert picture.size == (50, 60)
        assert f"InputXGradient · {FINDINGS[0]}" in picture.info["Title"]
    assert pacx(*command, *asked, "-o", written) is None
    first = np.load(written)
    assert first.shape == (32, 32)
    assert pacx(*command, *asked, "--versus", FINDINGS[1], "-o", written) is None
    assert not np.allclose(first, np.load(written))


def test_the_methods_of_the_graphs_are_the_same_in_torch(film: Path, tiny_bundle: Bundle) -> None:
    maps = [
        load(tiny_bundle.directory, engine=engine).explain(
            film, method="relevance", target=FINDINGS[2]
        )
        for engine in ("torch", "onnxruntime")
    ]
    np.testing.assert_allclose(maps[0].grid, maps[1].grid, rtol=1e-4, atol=1e-6)


def test_wrong_names_are_answered_with_the_right_ones(film: Path, tiny_bundle: Bundle) -> None:
    command = ("explain", film, "--bundle", tiny_bundle.directory, "-o", film.with_name("map.npy"))
    torch = (*command, "--engine", "torch")
    unknown = pacx(*torch, "--method", "Phrenology", "--target", FINDINGS[0])
    assert isinstance(unknown, UnknownMethod)
    assert all(name in unknown.detail for name in ("rollout", *METHODS))
    elsewhere = pacx(*command, "--method", "Saliency", "--target", FINDINGS[0])
    assert isinstance(elsewhere, UnknownMethod)
    for target in ((), ("--target", "Fracture")):
        assert isinstance(pacx(*torch, "--method", "Saliency", *target), UnknownTarget)


@pytest.mark.parametrize("package", ["torch", "captum"])
def test_what_is_not_installed_is_named_with_the_way_to_get_it(
    package: str, film: Path, tiny_bundle: Bundle
) -> None:
    program = f"import sys; sys.modules['{package}'] = None; from pacx.cli import main; main()"
    command = ["explain", film, "--bundle", tiny_bundle.directory, "-o", film.with_name("map.npy")]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, command), "--engine", "torch"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    told = " ".join(done.stderr.split())
    assert f'needs {package}: pip install "pacx[explain]"' in told
    assert "Traceback" not in told


def test_no_server_serves_with_torch(tiny_bundle: Bundle) -> None:
    refused = pacx("serve", "--bundle", tiny_bundle.directory, "--engine", "torch")
    assert refused is not None
    assert "PACX_ENGINE" in refused.detail
    assert "'onnxruntime'" in refused.detail
