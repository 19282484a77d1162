"""A small simulated cohort, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pacx_training.cohorts.simulated.cohort import CohortPlan, write_cohort


@pytest.fixture(scope="session")
def plan() -> CohortPlan:
    return CohortPlan(visits=24, seed=5, size=64, second_visits=0.5, missing_ecg=0.2)


@pytest.fixture(scope="session")
def cohort(plan: CohortPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    assert list(write_cohort(plan, folder))[-1] == plan.visits
    return folder
