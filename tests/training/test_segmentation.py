"""The anatomy decoder learns, and survives its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pacx.errors import CheckpointError
from pacx_training.anatomy_files import load_anatomy, save_anatomy
from pacx_training.runs import RunDirectory
from pacx_training.segmentation import (
    AnatomyConfig,
    FittingRecipe,
    dice,
    film_detail,
    fit_decoder,
    segmentation_loss,
)
from tests.anatomy_decoder import anatomy_spec

CONFIG = AnatomyConfig(embed_dim=12, grid=4, width=16, detail=4, features=8)


def test_a_decoder_finds_what_its_tokens_say() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((48, 3, 4, 4), generator=generator) > 0.5
    masks = coarse.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    tokens = coarse.float().flatten(2).transpose(1, 2).repeat(1, 1, 4)
    detail = torch.zeros((48, 1, 32, 32))
    recipe = FittingRecipe(steps=250, batch=8, lr=8e-3, token_dropout=0.0)
    decoder = fit_decoder(CONFIG, tokens[:40], detail[:40], masks[:40].byte() * 255, recipe)
    with torch.inference_mode():
        found = decoder(tokens[40:], detail[40:]) > 0
    assert dice(found.numpy(), masks[40:].numpy()).mean() > 0.9


def test_fitting_repeats_bit_for_bit() -> None:
    tokens, detail = torch.randn(8, 16, 12), torch.randn(8, 1, 32, 32)
    masks = (torch.rand(8, 3, 16, 16) * 255).byte()
    recipe = FittingRecipe(steps=3, batch=4)
    first, second = (fit_decoder(CONFIG, tokens, detail, masks, recipe) for _ in range(2))
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key])


def test_a_perfect_answer_costs_nothing_and_its_opposite_much() -> None:
    masks = (torch.rand(2, 3, 16, 16) > 0.5).float()
    assert segmentation_loss((masks - 0.5) * 60, masks) < 1e-3
    assert segmentation_loss((0.5 - masks) * 60, masks) > 10


def test_detail_is_the_film_at_twice_the_masks_resolution() -> None:
    pixels = torch.arange(32.0).repeat(1, 3, 32, 1)
    assert torch.equal(film_detail(pixels, 8)[0, 0, 0], torch.arange(16) * 2 + 0.5)


def test_dice_of_known_overlaps() -> None:
    one = np.zeros((1, 3, 4, 4), np.bool_)
    other = one.copy()
    one[0, 0, 0], other[0, 0, :2] = True, True
    one[0, 1, 0], other[0, 1, 3] = True, True
    np.testing.assert_allclose(dice(one, other), [[2 / 3, 0, 1]])


def test_a_run_keeps_its_decoder(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert load_anatomy(run) is None
    recipe = FittingRecipe(steps=1, batch=1)
    zeros = torch.zeros(1, 16, 12), torch.zeros(1, 1, 32, 32)
    decoder = fit_decoder(CONFIG, *zeros, torch.zeros(1, 3, 16, 16).byte(), recipe)
    spec = anatomy_spec()
    save_anatomy(run, decoder, spec)
    loaded = load_anatomy(run)
    assert loaded is not None
    assert loaded.spec == spec
    assert loaded.decoder.config == CONFIG
    tokens, detail = torch.randn(2, 16, 12), torch.randn(2, 1, 32, 32)
    assert torch.equal(loaded.decoder(tokens, detail), decoder(tokens, detail))


def test_damaged_decoders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "anatomy.json").write_text('{"embed_dim": 0}')
    with pytest.raises(CheckpointError, match=r"anatomy\.json"):
        load_anatomy(RunDirectory(tmp_path))
