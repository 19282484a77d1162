"""``pacx attribute``: captum's methods find what a trained model sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from pacx.errors import UnknownMethod, UnknownTarget
from pacx.preprocessing import normalise
from pacx.radiograph import Radiograph
from pacx_export.attribution import METHODS, attribute, attribution
from pacx_training.runs import RunDirectory
from tests.bright_square import LABELS, SPEC, background, trained
from tests.tiny_bundle import LABELS as FINDINGS


def film() -> Radiograph:
    pixels = background(np.random.default_rng(0))
    pixels[18:30, 34:46] = 1.0
    return Radiograph.from_array(pixels)


def test_attributions_lie_in_the_square() -> None:
    values = attribution(trained(), film(), LABELS[0], "IntegratedGradients")
    assert values.shape == (56, 56)
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert 18 <= row < 30
    assert 34 <= column < 46


def test_perturbing_methods_hide_whole_patches() -> None:
    classifier = trained()
    values = attribution(classifier, film(), LABELS[0], "FeatureAblation")
    patches = values.reshape(7, 8, 7, 8)
    np.testing.assert_array_equal(patches.max(axis=(1, 3)), patches.min(axis=(1, 3)))
    pixels = torch.from_numpy(normalise(film().pixels[np.newaxis], SPEC))
    hidden = pixels.clone()
    hidden[:, :, 16:24, 32:40] = 0
    logits = [classifier.logits(classifier.encoder(p).cls)[0, 0].item() for p in (pixels, hidden)]
    assert values[20, 36] == pytest.approx(logits[0] - logits[1], abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers(method: str) -> None:
    values = attribution(trained(), film(), LABELS[1], method)
    assert values.shape == (56, 56)
    assert np.isfinite(values).all()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownMethod, match="Saliency"):
        attribution(trained(), film(), LABELS[0], "Phrenology")
    with pytest.raises(UnknownTarget, match=LABELS[0]):
        attribution(trained(), film(), "Fracture", "Saliency")


def test_the_command_writes_a_map(tiny_run: RunDirectory, tmp_path: Path) -> None:
    picture, output = tmp_path / "film.png", tmp_path / "map.npy"
    pixels = np.random.default_rng(0).integers(0, 255, (60, 50), np.uint8)
    Image.fromarray(pixels).save(picture)
    arguments = [str(tiny_run.path), str(picture), "--target", FINDINGS[0], "-o", str(output)]
    app = typer.Typer()
    app.command()(attribute)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert np.load(output).shape == (32, 32)
