"""The exported Triton model repository, read as Triton reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2
from typer.testing import CliRunner

from pacx.bundle import Bundle
from pacx.engines import open_ungated
from pacx.errors import BundleError
from pacx_export.commands import app
from pacx_export.triton import HASH, export_triton


@pytest.fixture(scope="module")
def repository(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle as a model repository."""
    directory = tmp_path_factory.mktemp("triton") / "models"
    arguments = ["triton", str(tiny_bundle.directory), "-o", str(directory), "--max-batch", "16"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return directory


def configuration(repository: Path, name: str) -> model_config_pb2.ModelConfig:
    text = (repository / name / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_every_graph_is_a_model(repository: Path, tiny_bundle: Bundle) -> None:
    names = {path.name for path in repository.iterdir()}
    assert names == {"tiny_encode", "tiny_predict", "tiny_explain"}
    for name in names:
        assert configuration(repository, name).name == name
        assert configuration(repository, name).parameters[HASH].string_value == tiny_bundle.sha256


def test_configuration_states_the_graph_s_tensors(repository: Path, tiny_bundle: Bundle) -> None:
    for graph, spec in tiny_bundle.manifest.graphs.items():
        stated = configuration(repository, f"tiny_{graph}")
        skipped = 1 if stated.max_batch_size else 0
        for tensors, found in ((spec.inputs, stated.input), (spec.outputs, stated.output)):
            assert [tensor.name for tensor in tensors] == [item.name for item in found]
            for tensor, item in zip(tensors, found, strict=True):
                assert tuple(item.dims) == tensor.shape[skipped:]
                assert item.data_type == model_config_pb2.TYPE_FP32


def test_only_graphs_with_a_dynamic_batch_are_batched(repository: Path) -> None:
    predict, explain = (configuration(repository, f"tiny_{g}") for g in ("predict", "explain"))
    assert (predict.max_batch_size, explain.max_batch_size) == (16, 0)
    assert predict.dynamic_batching.max_queue_delay_microseconds == 2000
    assert not explain.HasField("dynamic_batching")
    assert [sample.inputs["pixel_values"].zero_data for sample in predict.model_warmup] == [True]


def test_models_lie_where_their_weights_do(repository: Path, tiny_bundle: Bundle) -> None:
    pixels = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    session = onnxruntime.InferenceSession(repository / "tiny_encode" / "1" / "model.onnx")
    (found,) = session.run(["embedding"], {"pixel_values": pixels})
    engine = open_ungated(tiny_bundle, "onnxruntime")
    wanted = engine.run("encode", {"pixel_values": pixels})["embedding"]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_the_bundle_is_the_argument_or_the_option(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = str(tiny_bundle.directory)
    for name, how in (("argument", [bundle]), ("option", ["--bundle", bundle])):
        done = CliRunner().invoke(app, ["triton", "-o", str(tmp_path / name), *how])
        assert done.exit_code == 0, done.output
        assert (tmp_path / name / "tiny_encode").is_dir()
    twice = ["triton", "-o", str(tmp_path / "both"), bundle, "--bundle", bundle]
    assert CliRunner().invoke(app, twice).exit_code == 2
    assert not (tmp_path / "both").exists()


def test_nothing_is_overwritten(repository: Path, tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="exists already"):
        export_triton(tiny_bundle, repository)
