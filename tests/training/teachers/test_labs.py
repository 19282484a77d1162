"""The laboratory teacher: the published shape, blind to gaps, better than guessing the mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pacx_training.teachers.labs import (
    LaboratoryTeacher,
    LaboratoryTeacherConfig,
    hidden_from,
)
from pacx_training.teachers.labs_training import LabsStep


@pytest.fixture
def teacher() -> LaboratoryTeacher:
    torch.manual_seed(0)
    return LaboratoryTeacher(LaboratoryTeacherConfig()).eval()


def batch(count: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.manual_seed(1)
    percentiles = torch.rand(count, 50, generator=generator)
    return percentiles, torch.rand(count, 50, generator=generator) < 0.6


def test_its_layers_are_the_published_ones(teacher: LaboratoryTeacher) -> None:
    shapes = {key: tuple(value.shape) for key, value in teacher.state_dict().items()}
    assert shapes == {
        "encoder.0.weight": (512, 100),
        "encoder.0.bias": (512,),
        "encoder.1.weight": (512,),
        "encoder.1.bias": (512,),
        "encoder.3.weight": (256, 512),
        "encoder.3.bias": (256,),
        "decoder.0.weight": (512, 256),
        "decoder.0.bias": (512,),
        "decoder.2.weight": (50, 512),
        "decoder.2.bias": (50,),
    }


def test_what_stands_for_an_unmeasured_value_does_not_matter(teacher: LaboratoryTeacher) -> None:
    percentiles, observed = batch()
    filled = torch.where(observed, percentiles, 0.123)
    torch.testing.assert_close(
        teacher.encode(filled, observed), teacher.encode(percentiles, observed)
    )
    reconstruction = teacher(percentiles, observed)
    assert ((reconstruction >= 0) & (reconstruction <= 1)).all()


def test_only_measured_values_are_hidden_and_about_the_share_asked_for() -> None:
    percentiles, observed = batch(2000)
    hidden = hidden_from(observed, torch.rand_like(percentiles), 0.15)
    assert not (hidden & ~observed).any()
    assert float(hidden.sum() / observed.sum()) == pytest.approx(0.15, abs=0.01)


def test_the_loss_is_the_mean_over_measured_entries(teacher: LaboratoryTeacher) -> None:
    percentiles, observed = batch()
    drawn = torch.rand(percentiles.shape, generator=torch.manual_seed(2))
    parts = LabsStep(teacher, 0.15)(percentiles, observed, drawn)
    seen = observed & ~((drawn < 0.15) & observed)
    answer = teacher(percentiles, seen).detach().numpy()
    squared = (answer - percentiles.numpy()) ** 2
    assert parts["loss"].item() == pytest.approx(squared[observed.numpy()].mean(), abs=1e-5)
    lost = (observed & ~seen).numpy()
    assert parts["hidden_error"].item() == pytest.approx(squared[lost].mean(), abs=1e-5)


def test_nothing_measured_costs_nothing(teacher: LaboratoryTeacher) -> None:
    zeros = torch.zeros(2, 50)
    assert LabsStep(teacher, 0.15)(zeros + 1, zeros.bool(), zeros)["loss"] == 0


def test_it_learns_to_tell_hidden_values_from_others() -> None:
    """With half of the values copies of the other half, guessing the mean can be beaten."""
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    half = generator.random((256, 5)).astype(np.float32)
    percentiles = torch.from_numpy(np.concatenate([half, half], axis=1))
    observed = torch.ones_like(percentiles, dtype=torch.bool)
    config = LaboratoryTeacherConfig(analytes=10, hidden=64, dimension=32)
    step = LabsStep(LaboratoryTeacher(config), 0.15)
    optimiser = torch.optim.AdamW(step.parameters(), lr=3e-3)
    for _ in range(200):
        parts = step(percentiles, observed, torch.rand_like(percentiles))
        optimiser.zero_grad()
        parts["loss"].backward()
        optimiser.step()
    mean_guess = float(((percentiles - percentiles.mean(0)) ** 2).mean())
    assert parts["hidden_error"] < 0.5 * mean_guess
