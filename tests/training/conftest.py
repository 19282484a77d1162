"""Fixtures of the training floor."""

from __future__ import annotations

from pathlib import Path

import pytest

from pacx_training.cohorts.simulated.cohort import CohortPlan, write_cohort
from pacx_training.encoder import EncoderConfig


@pytest.fixture
def tiny() -> EncoderConfig:
    """An encoder that is quick on any machine: 16 patches of 8 pixels, two blocks."""
    return EncoderConfig(image_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)


@pytest.fixture(scope="session")
def plan() -> CohortPlan:
    """What the simulated cohort of the tests holds."""
    return CohortPlan(visits=24, seed=5, size=64, second_visits=0.5, missing_ecg=0.2)


@pytest.fixture(scope="session")
def cohort(plan: CohortPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated cohort, written once."""
    folder = tmp_path_factory.mktemp("cohort")
    assert list(write_cohort(plan, folder))[-1] == plan.visits
    return folder
