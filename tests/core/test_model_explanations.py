"""``Model.explain`` from a bundle's own graphs, without torch."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pacx.bundle import Bundle
from pacx.engines.parity import distances
from pacx.errors import UnknownMethod, UnknownTarget
from pacx.model import Model, load
from pacx.preprocessing import upsample
from pacx.radiograph import Radiograph
from tests.tiny_bundle import LABELS

TARGETED = ("relevance", "integrated_gradients", "gradient_shap", "occlusion")


@pytest.fixture(scope="module")
def model(tiny_bundle: Bundle) -> Model:
    return load(tiny_bundle.directory, engine="onnxruntime")


@pytest.fixture
def film() -> Radiograph:
    pixels = np.random.default_rng(0).random((70, 50)).astype(np.float32)
    return Radiograph.from_array(pixels)


def test_a_bundle_offers_the_methods_that_it_has_graphs_for(model: Model) -> None:
    assert model.methods == ("rollout", "last_layer", *TARGETED)


@pytest.mark.parametrize("method", TARGETED)
def test_a_finding_is_explained_on_the_grid_and_on_the_original_pixels(
    model: Model, film: Radiograph, method: str
) -> None:
    explanation = model.explain(film, method=method, target=LABELS[1])
    assert explanation.grid.shape == model.manifest.encoder.grid
    assert explanation.grid.dtype == np.float32
    assert upsample(explanation.grid, explanation.geometry).shape == (70, 50)
    assert explanation.signed == (method != "relevance")
    assert (explanation.grid.min() < 0) == explanation.signed
    assert (explanation.target, explanation.versus, explanation.focus) == (LABELS[1], None, None)


def test_different_findings_have_different_maps(model: Model, film: Radiograph) -> None:
    first, second = (model.explain(film, method="relevance", target=t).grid for t in LABELS[:2])
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.999


def test_one_finding_against_another_is_the_difference(model: Model, film: Radiograph) -> None:
    def occluded(target: str, versus: str | None = None) -> NDArray[np.float32]:
        return model.explain(film, method="occlusion", target=target, versus=versus).grid

    difference = occluded(LABELS[0]) - occluded(LABELS[1])
    np.testing.assert_allclose(occluded(LABELS[0], LABELS[1]), difference, atol=1e-5)


def test_what_does_not_exist_is_refused_with_what_does(model: Model, film: Radiograph) -> None:
    with pytest.raises(UnknownMethod, match="occlusion"):
        model.explain(film, method="phrenology", target=LABELS[0])
    with pytest.raises(UnknownMethod):
        model.explain(film, method="region_ablation", target=LABELS[0])
    with pytest.raises(UnknownMethod, match="leave out the target"):
        model.explain(film, method="rollout", target=LABELS[0])
    with pytest.raises(UnknownTarget, match="name a target"):
        model.explain(film, method="relevance")
    with pytest.raises(UnknownTarget, match=LABELS[0]):
        model.explain(film, method="relevance", target=LABELS[0], versus="Fracture")


def test_masks_are_compared_by_their_overlap(tiny_bundle: Bundle) -> None:
    left = np.full((2, 3, 8, 8), -1, np.float32)
    right = left.copy()
    left[0, 0, :4] = right[0, 0, :2] = 1
    found = distances("masks", left, right, tiny_bundle.manifest)
    assert found["overlap"].tolist() == [0.5, 0.0]
