"""Rollout, last-layer attention and relevance: composed from what captum reads of each block."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerActivation, LayerGradientXActivation
from numpy.typing import NDArray
from torch import Tensor

from pacx.explanations import Map, Question, relevance
from pacx.preprocessing import normalise
from pacx_export.graphs import Classifier
from pacx_export.torch_engine import TorchEngine
from tests.bright_square import GRID, SPEC, background

WITH_SQUARE = background(np.random.default_rng(0))
WITH_SQUARE[18:30, 34:46] = 1.0
PIXELS = normalise(WITH_SQUARE[np.newaxis], SPEC)
Values = NDArray[np.float64]


def by_block(classifier: Classifier, kind: type[LayerActivation], target: int) -> list[Values]:
    """What captum finds at the attention ``[heads, L, L]`` of every block."""

    def logits(pixels: Tensor) -> Tensor:
        return classifier.logits(classifier.encoder(pixels, return_attention=True).cls)

    found = []
    for block in classifier.encoder.blocks:
        oracle = kind(logits, block.attn)
        options = {} if kind is LayerActivation else {"target": target}
        _, attention = oracle.attribute(torch.from_numpy(PIXELS).requires_grad_(), **options)
        found.append(attention[0].detach().numpy().astype(np.float64))
    return found


def of_patches(joint: Values) -> Values:
    """What the class token sees of every patch, on the grid."""
    return joint[0, 1:].reshape(GRID)


@pytest.fixture(scope="module")
def attentions(square_classifier: Classifier) -> list[Values]:
    return by_block(square_classifier, LayerActivation, 0)


@pytest.fixture(scope="module")
def predicted(square_classifier: Classifier) -> dict[str, Map]:
    return TorchEngine(square_classifier).run("predict", {"pixel_values": PIXELS})


def test_rollout_multiplies_captums_attention_with_the_residual(
    attentions: list[Values], predicted: dict[str, Map]
) -> None:
    """Abnar and Zuidema 2020: ``(A + I) / 2`` of every block, heads averaged."""
    joint = np.eye(attentions[0].shape[-1])
    for attention in attentions:
        joint = (attention.mean(axis=0) + np.eye(len(joint))) / 2 @ joint
    np.testing.assert_allclose(predicted["rollout"][0], of_patches(joint), rtol=1e-4)


def test_the_last_layer_is_captums_attention_of_the_last_block(
    attentions: list[Values], predicted: dict[str, Map]
) -> None:
    expected = of_patches(attentions[-1].mean(axis=0))
    np.testing.assert_allclose(predicted["last_layer"][0], expected, rtol=1e-4)


@pytest.mark.parametrize("target", [0, 1])
def test_relevance_composes_captums_gradient_times_attention(
    square_classifier: Classifier, target: int
) -> None:
    """Chefer et al. 2021, equations 5 and 6."""
    weighed = by_block(square_classifier, LayerGradientXActivation, target)
    joint = np.eye(weighed[0].shape[-1])
    for one in weighed:
        joint = joint + np.clip(one, 0, None).mean(axis=0) @ joint
    question = Question(
        engine=TorchEngine(square_classifier),
        spec=SPEC,
        grid=GRID,
        pixels=WITH_SQUARE,
        contrast=np.eye(2, dtype=np.float32)[target],
    )
    expected = of_patches(joint)
    np.testing.assert_allclose(relevance(question), expected, rtol=1e-3, atol=1e-7)
    assert expected.max() > 0
