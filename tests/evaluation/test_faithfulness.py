"""Tests of explanations tell a faithful map from one that knows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from pacx.engines.protocol import Precision
from pacx.explanations import Map, Question, integrated_gradients, occlusion, relevance
from pacx_evaluation.faithfulness import (
    deletion_gain,
    infidelity_of,
    insertion_gain,
    randomisation_similarity,
    sensitivity_of,
)
from pacx_export.graphs import Classifier
from pacx_export.torch_engine import TorchEngine
from tests.bright_square import GRID, SPEC, background, trained


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return trained()


@pytest.fixture
def question(classifier: Classifier) -> Question:
    pixels = background(np.random.default_rng(0))
    pixels[18:30, 34:46] = 1.0
    contrast = np.array([1, 0], np.float32)
    engine = TorchEngine(classifier)
    return Question(engine=engine, spec=SPEC, grid=GRID, pixels=pixels, contrast=contrast)


def test_cells_that_matter_are_hidden_to_greater_effect(question: Question) -> None:
    grid = occlusion(question)
    assert deletion_gain(question, grid) > 0.5
    assert insertion_gain(question, grid) > 0.1
    assert deletion_gain(question, -grid) < 0
    assert insertion_gain(question, -grid) < 0


def test_a_constant_map_gains_nothing_on_average(question: Question) -> None:
    flat = np.ones(GRID, np.float32)
    gains = [deletion_gain(question, flat, seed=seed) for seed in range(0, 40, 2)]
    informed = deletion_gain(question, occlusion(question))
    assert abs(np.mean(gains)) < informed / 3


class LinearEngine:
    """A model whose every cell has an effect of its own: a weighted sum of grey levels."""

    name = "linear"
    precision: Precision = "f32"
    device = "cpu"

    def __init__(self, weights: Map) -> None:
        self.weights = weights

    def run(self, graph: str, inputs: Mapping[str, Map]) -> dict[str, Map]:
        """One logit of each picture."""
        assert graph == "predict"
        grey = inputs["pixel_values"][:, 0]
        return {"logits": (grey * self.weights).sum(axis=(1, 2))[:, np.newaxis]}

    def close(self) -> None:
        """Nothing to free."""


def test_the_true_effects_of_a_linear_model_are_faithful(question: Question) -> None:
    weights = np.random.default_rng(5).normal(0, 1, question.pixels.shape).astype(np.float32)
    contrast = np.ones(1, np.float32)
    asked = replace(question, engine=LinearEngine(weights), contrast=contrast)
    effects = asked.pooled(weights * (asked.pixels - asked.blank))
    assert infidelity_of(asked, effects) < 1e-3
    assert infidelity_of(asked, np.roll(effects, 3)) > 0.3
    assert infidelity_of(asked, np.zeros(GRID, np.float32)) == pytest.approx(1, abs=0.01)


def test_a_map_that_ignores_the_weights_is_found_out(
    question: Question, classifier: Classifier
) -> None:
    def honest(model: Classifier) -> Map:
        return integrated_gradients(replace(question, engine=TorchEngine(model)))

    def edges(_: Classifier) -> Map:
        return question.pooled(question.pixels)

    assert randomisation_similarity(classifier, edges) == pytest.approx(1)
    assert abs(randomisation_similarity(classifier, honest)) < 0.7


def test_a_steady_map_is_less_sensitive_than_a_jumpy_one(question: Question) -> None:
    def jumpy(asked: Question) -> Map:
        seed = int(asked.pixels.sum() * 1e4)
        return np.random.default_rng(seed).random(GRID).astype(np.float32)

    assert sensitivity_of(question, relevance) < sensitivity_of(question, jumpy)
