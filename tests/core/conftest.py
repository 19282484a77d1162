"""Fixtures of the ground floor."""

from __future__ import annotations

import pytest

from pacx_export.graphs import Classifier
from tests.bright_square import trained


@pytest.fixture(scope="session")
def square_classifier() -> Classifier:
    """A tiny encoder that was trained to see a bright or a dark square."""
    return trained()
