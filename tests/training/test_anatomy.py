"""``pacx train anatomy`` on phantoms with outlines: cross-validated, recorded, repeatable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pacx.errors import CheckpointError, CohortError
from pacx.manifest import Provenance
from pacx_training.anatomy import train_anatomy
from pacx_training.anatomy_files import load_anatomy
from pacx_training.anatomy_report import report
from pacx_training.cohorts.outlines import OutlinedFilm, phantom_films, read_outlines
from pacx_training.cohorts.randomisation import randomise
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.runs import RunDirectory

SQUARE = [[10.0, 20.0], [30.0, 20.0], [30.0, 60.0], [10.0, 60.0]]
SMALL = ("views=1", "phantoms=2", "folds=3", "fitting.steps=2", "fitting.batch=2")


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    run = RunDirectory(tmp_path / "encoder")
    config = EncoderConfig(image_size=224, patch_size=56, embed_dim=16, depth=1, num_heads=2)
    torch.manual_seed(0)
    run.save_encoder(VisionTransformer(config))
    run.save_provenance(Provenance(initialisation="random", sources=(), steps=()))
    return run.path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six films of 100 x 80 pixels with square structures; one has a note."""
    random, entries = np.random.default_rng(0), []
    for number in range(6):
        name = f"{number}.png"
        Image.fromarray(random.integers(0, 255, (100, 80), np.uint8)).save(tmp_path / name)
        entry = {"image": name, "patient_id": number, "width": 80, "height": 100}
        entries.append(entry | dict.fromkeys(("heart", "right_lung", "left_lung"), SQUARE))
    entries[0]["note"] = "a border was guessed"
    (tmp_path / "outlines.json").write_text(json.dumps(entries))
    return tmp_path


def test_a_run_gets_a_decoder_a_report_and_a_story(
    encoder: Path, data: Path, tmp_path: Path
) -> None:
    output = RunDirectory(tmp_path / "run")
    found = train_anatomy("small", encoder, data / "outlines.json", data, output.path, SMALL)
    trained = load_anatomy(output)
    assert trained is not None
    assert trained.decoder.config.side == 16
    assert trained.spec == found
    assert found.films == 6
    assert found.ratio_films + found.ratio_missing == 5
    provenance = output.load_provenance()
    assert provenance.steps == ("pacx train anatomy --recipe small",)
    assert provenance.sources[0].films == 6
    output.load_encoder()
    assert load_anatomy(RunDirectory(encoder)) is None


def test_polygons_become_masks_in_the_squashed_picture(data: Path) -> None:
    film = read_outlines(data / "outlines.json", data)[1]
    side = film.masks.shape[1]
    rows, columns = np.nonzero(film.masks[0] > 0.5)
    assert rows.min() == pytest.approx(0.2 * side, abs=1)
    assert rows.max() + 1 == pytest.approx(0.6 * side, abs=1)
    assert columns.min() == pytest.approx(10 / 80 * side, abs=1)
    assert columns.max() + 1 == pytest.approx(30 / 80 * side, abs=1)


@pytest.mark.parametrize("spoil", ["not json", '[{"image": "0.png"}]', "[3]"])
def test_malformed_outlines_are_refused_without_repeating_them(data: Path, spoil: str) -> None:
    (data / "outlines.json").write_text(spoil)
    with pytest.raises(CohortError) as refusal:
        read_outlines(data / "outlines.json", data)
    assert spoil not in refusal.value.detail


def test_randomised_views_move_picture_and_masks_together() -> None:
    (film,) = phantom_films([3])
    # A picture that is its own heart mask: after any randomisation they still agree.
    marked = OutlinedFilm(pixels=film.masks[0], masks=film.masks, patient="x")
    agreements = []
    for seed in range(9):
        view = randomise(marked, np.random.default_rng(seed))
        agreements.append(np.corrcoef(view.pixels.ravel(), view.masks[0].ravel())[0, 1])
    assert np.median(agreements) > 0.9


def test_the_report_knows_a_heart_that_is_too_wide(tmp_path: Path) -> None:
    films = tuple(phantom_films(range(4)))
    truth = np.stack([film.masks[:, ::4, ::4] for film in films])
    logits = np.where(truth > 0.5, 5, -5).astype(np.float32)
    exact = report(logits, truth, films)
    assert exact.heart_dice.value == 1
    assert exact.ratio_error is not None
    assert exact.ratio_error.value == pytest.approx(0, abs=1e-3)
    wide = report(_widened(logits), truth, films)
    assert wide.heart_dice.value < 1
    assert wide.right_lung_dice.value == 1
    assert wide.ratio_bias is not None
    assert wide.ratio_bias.low > 0.02


def _widened(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    wider = logits.copy()
    wider[:, 0, :, 3:] = np.maximum(logits[:, 0, :, 3:], logits[:, 0, :, :-3])
    return wider


def test_tokens_are_kept_between_calls_and_never_mixed_up(
    encoder: Path, data: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.safetensors"

    def train(name: str, *overrides: str) -> Path:
        outlines, output = data / "outlines.json", tmp_path / name
        train_anatomy("small", encoder, outlines, data, output, (*SMALL, *overrides), cache=tokens)
        return output

    first = train("first")
    made = tokens.stat().st_mtime_ns
    second = train("second")
    assert tokens.stat().st_mtime_ns == made
    weights = [(run / "anatomy.safetensors").read_bytes() for run in (first, second)]
    assert weights[0] == weights[1]
    with pytest.raises(CheckpointError, match="another encoder or recipe"):
        train("third", "seed=1")
    with Image.open(data / "3.png") as film:
        film.rotate(180).save(data / "3.png")
    with pytest.raises(CheckpointError, match="other films"):
        train("fourth")
