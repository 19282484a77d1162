"""A run with an anatomy decoder becomes a bundle that measures and knows what is unlike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from pacx.bundle import Bundle
from pacx.model import load
from pacx.preprocessing import normalise
from pacx.radiograph import Radiograph
from pacx_export.assembly import export_bundle
from pacx_export.weights import load_classifier
from pacx_training.anatomy_files import save_anatomy
from pacx_training.novelty import fit_novelty, save_novelty
from pacx_training.runs import RunDirectory
from tests.anatomy_decoder import anatomy_spec, random_decoder
from tests.tiny_bundle import LABELS, TINY, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = write_run(tmp_path_factory.mktemp("anatomy") / "run")
    save_anatomy(run, random_decoder(TINY), anatomy_spec())
    embeddings = np.random.default_rng(0).normal(0, 1, (60, TINY.embed_dim)).astype(np.float32)
    patients = np.arange(60).astype(np.str_)
    save_novelty(run, fit_novelty(embeddings, patients, rate=0.1))
    return run


@pytest.fixture(scope="module")
def bundle(run: RunDirectory) -> Bundle:
    return export_bundle(run, run.path.parent / "bundle", name="tiny", version="1")


def film(seed: int = 0) -> Radiograph:
    pixels = np.random.default_rng(seed).random((64, 48)).astype(np.float32)
    return Radiograph.from_array(pixels)


def test_the_manifest_states_the_cross_validation(bundle: Bundle) -> None:
    assert bundle.manifest.anatomy == anatomy_spec()
    assert bundle.manifest.novelty is not None
    assert bundle.manifest.novelty.false_alarm_rate == 0.1
    assert load_file(bundle.path("heads.safetensors"))["novelty.mean"].shape == (TINY.embed_dim,)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_graphs_masks_are_those_of_torch(
    run: RunDirectory, bundle: Bundle, engine: str
) -> None:
    classifier = load_classifier(run)
    model = load(bundle.directory, engine=engine, precision="f32")
    pixels = np.stack([model.prepare(film(seed)).pixels for seed in range(3)])
    values = torch.from_numpy(normalise(pixels, model.spec))
    with torch.inference_mode():
        wanted = classifier.masks(classifier.encoder(values).tokens, values).numpy()
    found = model.run(pixels)
    assert found.masks is not None
    np.testing.assert_allclose(found.masks, wanted, atol=1e-3)
    second = found[1].masks
    assert second is not None
    np.testing.assert_array_equal(second, found.masks[1:2])


def test_a_prediction_comes_with_anatomy_quality_and_focus(bundle: Bundle) -> None:
    model = load(bundle.directory, engine="onnxruntime")
    prediction = model.predict(film())
    assert prediction.anatomy is not None
    assert prediction.quality.is_frontal_chest == prediction.anatomy.plausible
    assert prediction.quality.score is not None
    assert prediction.quality.out_of_distribution == (prediction.quality.score > 1)
    assert "region_ablation" in model.methods
    explained = model.explain(film(), method="relevance", target=LABELS[0])
    assert (explained.focus is not None) == prediction.anatomy.plausible


def test_without_a_decoder_nothing_is_claimed(tiny_bundle: Bundle) -> None:
    model = load(tiny_bundle.directory, engine="onnxruntime")
    prediction = model.predict(film())
    assert prediction.anatomy is None
    assert prediction.quality.is_frontal_chest is None
    assert prediction.quality.out_of_distribution is None
    assert "region_ablation" not in model.methods
    assert [finding.label for finding in prediction.findings] == list(LABELS)
