"""``pacx export bundle``: what is written was proved, and what cannot be proved is not written."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from pacx.bundle import Bundle, open_bundle, resolve
from pacx.engines import open_ungated
from pacx.engines.parity import LIMITS, Limits
from pacx.errors import BundleError, CohortError
from pacx.model import load
from pacx.model_card import missing_statements
from pacx.preprocessing import normalise
from pacx_export.assembly import export_bundle
from pacx_export.commands import app
from pacx_export.graphs import Classifier, graphs
from pacx_export.pictures import verification_pictures
from pacx_export.verification import VARIANTS, verify
from pacx_export.verification_report import FILE, NO_FILMS, Verification
from pacx_export.weights import load_classifier
from pacx_training.cohorts.phantom import phantom_radiograph
from pacx_training.runs import RunDirectory
from tests.tiny_bundle import LABELS, TINY, write_run


@pytest.fixture
def classifier(tiny_run: RunDirectory) -> Classifier:
    return load_classifier(tiny_run)


def test_every_file_of_the_layout_is_there(tiny_bundle: Bundle) -> None:
    assert set(tiny_bundle.manifest.files) == {
        "README.md",
        "config.json",
        "encode.onnx",
        "explain.onnx",
        "heads.safetensors",
        "model.safetensors",
        "predict.onnx",
        "reference/vectors.safetensors",
        "verification.json",
    }


def test_graphs_keep_no_weights_of_their_own(tiny_bundle: Bundle) -> None:
    for spec in tiny_bundle.manifest.graphs.values():
        model = onnx.load(tiny_bundle.path(spec.file), load_external_data=False)
        assert model.graph.initializer
        for tensor in model.graph.initializer:
            assert tensor.data_location == onnx.TensorProto.EXTERNAL
            location = {entry.key: entry.value for entry in tensor.external_data}["location"]
            assert location in {"model.safetensors", "heads.safetensors"}


def test_manifest_states_what_the_graphs_state(tiny_bundle: Bundle) -> None:
    for spec in tiny_bundle.manifest.graphs.values():
        model = onnx.load(tiny_bundle.path(spec.file), load_external_data=False)
        assert model.ir_version == spec.ir_version
        assert {entry.domain: entry.version for entry in model.opset_import}[""] == spec.opset
        for stated, found in ((spec.inputs, model.graph.input), (spec.outputs, model.graph.output)):
            assert [tensor.name for tensor in stated] == [value.name for value in found]
            for tensor, value in zip(stated, found, strict=True):
                dimensions = value.type.tensor_type.shape.dim
                assert tensor.shape == tuple(
                    axis.dim_param or axis.dim_value for axis in dimensions
                )


def test_the_report_covers_every_graph_in_float32(tiny_bundle: Bundle) -> None:
    report = Verification.model_validate_json(tiny_bundle.path("verification.json").read_text())
    passed = {(r.graph, r.engine) for r in report.results if r.passed and r.precision == "f32"}
    everywhere = {(g, e) for g in ("encode", "predict") for e in ("onnxruntime", "openvino")}
    assert passed >= everywhere | {("explain", "onnxruntime")}
    assert report.pictures["adversarial"] > 0
    assert report.refused == tiny_bundle.manifest.refused


def test_what_could_not_be_proved_here_is_not_offered_elsewhere(tiny_bundle: Bundle) -> None:
    report = Verification.model_validate_json((tiny_bundle.directory / FILE).read_bytes())
    proved = {result.variant for result in report.results}
    refused = {(v.graph, v.engine, v.precision) for v in tiny_bundle.manifest.refused}
    for graph in tiny_bundle.manifest.graphs:
        for engine, precision in VARIANTS:
            assert (graph, engine, precision) in proved | refused


def test_relevance_of_the_graph_is_that_of_eager_torch(
    tiny_bundle: Bundle, classifier: Classifier
) -> None:
    explain = next(graph for graph in graphs(classifier) if graph.name == "explain")
    engine = open_ungated(tiny_bundle, "onnxruntime")
    for seed, column in enumerate((0, 1, 2, 1)):
        picture = phantom_radiograph(900 + seed, tiny_bundle.manifest.input.size).pixels
        inputs = {
            "pixel_values": normalise(picture[np.newaxis], tiny_bundle.manifest.input),
            "target": np.eye(len(LABELS), dtype=np.float32)[[column]],
        }
        outputs = engine.run("explain", inputs)
        eager = explain.module(*(torch.from_numpy(value) for value in inputs.values()))
        for name, wanted in zip(outputs, eager, strict=True):
            found = np.corrcoef(outputs[name].ravel(), wanted.detach().numpy().ravel())
            assert found[0, 1] >= 0.9999, name


def test_input_gradient_is_the_derivative(classifier: Classifier) -> None:
    """Against finite differences of the logit, in float64."""
    double = classifier.double()
    explain = next(graph.module for graph in graphs(double) if graph.name == "explain")
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(1, 3, 32, 32, generator=generator, dtype=torch.float64)
    step = torch.randn(1, 3, 32, 32, generator=generator, dtype=torch.float64) * 1e-5
    target = torch.eye(len(LABELS), dtype=torch.float64)[[1]]
    gradient = explain(pixels, target).input_gradient
    ahead, behind = (double.logits(double.encoder(pixels + s).cls)[0, 1] for s in (step, -step))
    torch.testing.assert_close((gradient * step).sum() * 2, ahead - behind, rtol=1e-4, atol=0)


def test_over_tolerance_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shallow = write_run(tmp_path / "run", TINY.model_copy(update={"depth": 1}))
    nothing = Limits(**{field.name: 0.0 for field in fields(Limits)})
    monkeypatch.setitem(LIMITS, "f32", replace(nothing, cosine=-1.0))
    with pytest.raises(BundleError, match="Refused: `encode` on onnxruntime f32"):
        export_bundle(shallow, tmp_path / "made", name="tiny", version="0.1.0")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def test_a_changed_weight_is_found_out(tiny_bundle: Bundle, classifier: Classifier) -> None:
    classifier.encoder.state_dict()["blocks.0.attn.qkv.weight"][3, 3] += 0.05
    pictures = verification_pictures(None, tiny_bundle.manifest.input)
    with pytest.raises(BundleError, match="Refused"):
        verify(tiny_bundle, graphs(classifier), pictures)


def test_swapped_labels_are_found_out(tiny_bundle: Bundle, classifier: Classifier) -> None:
    for tensor in classifier.heads.state_dict().values():
        tensor.copy_(tensor[[1, 0, 2]])
    pictures = verification_pictures(None, tiny_bundle.manifest.input)
    with pytest.raises(BundleError, match="Refused: `predict`"):
        verify(tiny_bundle, graphs(classifier), pictures)


def test_a_run_without_heads_answers_embeddings_and_attention(
    tiny_run: RunDirectory, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    headless = RunDirectory(tmp_path / "run")
    headless.save_encoder(tiny_run.load_encoder())
    headless.save_provenance(tiny_run.load_provenance())
    made = export_bundle(headless, tmp_path / "made", name="tiny", version="0.1.0")
    assert set(made.manifest.graphs) == {"encode", "predict"}
    assert not missing_statements(made)
    film = phantom_radiograph(0, TINY.image_size).pixels
    bare, whole = load(made.directory), load(tiny_bundle.directory)
    np.testing.assert_allclose(bare.embed(film), whole.embed(film), atol=1e-5)
    answer = bare.predict(film)
    assert (answer.findings, answer.values) == ((), ())
    assert set(bare.methods) == {"rollout", "last_layer"}
    np.testing.assert_allclose(bare.explain(film).grid, whole.explain(film).grid, atol=1e-6)


def test_weights_that_float16_changes_are_refused(tiny_run: RunDirectory, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    encoder = tiny_run.load_encoder()
    # The same function in float32, but the small factors lose most of their bits in float16.
    for key, tensor in encoder.state_dict().items():
        if ".norm1." in key:
            tensor *= 2**15
        elif key.endswith("attn.qkv.weight"):
            tensor *= 2**-15
    run.save_encoder(encoder)
    run.save_provenance(tiny_run.load_provenance())
    with pytest.raises(BundleError, match="In float16 the encoder computes something else"):
        export_bundle(run, tmp_path / "made", name="tiny", version="0.1.0")
    assert not (tmp_path / "made").exists()


def test_weights_that_float16_cannot_hold_are_refused(
    tiny_run: RunDirectory, tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path / "run")
    encoder = tiny_run.load_encoder()
    with torch.no_grad():
        encoder.norm.weight[0] = 1e6
    run.save_encoder(encoder)
    run.save_heads(tiny_run.load_heads())
    with pytest.raises(BundleError, match=r"norm\.weight holds a number"):
        export_bundle(run, tmp_path / "made", name="tiny", version="0.1.0")


def test_too_few_films_are_refused(tiny_run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    with pytest.raises(CohortError, match="64 films; the folder holds 0"):
        export_bundle(
            tiny_run, tmp_path / "made", name="tiny", version="0.1.0", films=tmp_path / "films"
        )


def test_the_model_card_states_what_the_manifest_states(tiny_bundle: Bundle) -> None:
    assert missing_statements(tiny_bundle) == ()
    card = tiny_bundle.path("README.md").read_text()
    assert "not for clinical use" in card
    assert "**not offered**" in card
    assert f"24 phantoms, 9 adversarial ones. {NO_FILMS}" in card


def test_the_command_refuses_a_directory_that_exists(
    tiny_run: RunDirectory, tmp_path: Path
) -> None:
    (tmp_path / "made").mkdir()
    arguments = ["bundle", str(tiny_run.path), "-o", str(tmp_path / "made"), "--name", "tiny"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, BundleError)
    assert "exists already" in result.exception.detail


@pytest.mark.parametrize(("option", "value"), [("--name", "My_Model"), ("--version", "one")])
def test_the_command_refuses_a_name_that_no_bundle_may_have(
    option: str, value: str, tiny_run: RunDirectory, tmp_path: Path
) -> None:
    arguments = ["bundle", str(tiny_run.path), "-o", str(tmp_path / "made"), option, value]
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, BundleError)
    assert option in error.detail
    assert value in error.detail
    assert list(tmp_path.iterdir()) == []


def test_configuration_is_what_timm_reads(tiny_bundle: Bundle) -> None:
    config = json.loads(tiny_bundle.path("config.json").read_text())
    assert config["num_classes"] == 0
    assert config["global_pool"] == "token"
    assert config["pretrained_cfg"]["mean"] == list(tiny_bundle.manifest.input.mean)


def test_the_shipped_bundle_opens_and_is_small(shipped: Bundle) -> None:
    assert sum(entry.bytes for entry in shipped.manifest.files.values()) < 60 * 2**20
    assert missing_statements(shipped) == ()
    assert all(finding.calibrated for finding in shipped.manifest.findings)
    assert all(finding.validation_auroc for finding in shipped.manifest.findings)


@pytest.fixture
def shipped() -> Bundle:
    return open_bundle(resolve())
