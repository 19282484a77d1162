"""``pacx export tensorrt``: engines are built ahead of time, without a GPU, and proved first."""

from __future__ import annotations

import platform
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from pacx.bundle import Bundle, open_bundle, resolve
from pacx.engines import open_engine
from pacx.engines.parity import LIMITS
from pacx.engines.plans import BatchProfile, EngineSet, engine_sets
from pacx.engines.tensorrt import installed
from pacx.errors import BundleError, EngineUnavailable
from pacx.manifest import GraphName
from pacx_export.commands import app
from pacx_export.emulation import EmulatedEngine
from pacx_export.plan_builder import PlanBuilder, batch_profile
from pacx_export.tensorrt import EngineOptions, export_tensorrt
from pacx_export.typed import Arithmetic, typed
from pacx_export.verification_report import Verification

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="TensorRT for RTX has wheels for Linux on x86-64 only",
)
AHEAD = EngineOptions(compute_capabilities=("8.6", "7.5"), batch=BatchProfile(optimum=2, maximum=4))


@pytest.fixture(scope="module")
def builder() -> PlanBuilder:
    """For the compute capability of an A10 or an RTX 3090."""
    return PlanBuilder("tensorrt_rtx", installed()["tensorrt_rtx"], "8.6")


@pytest.fixture(scope="module")
def made(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny bundle with engines for two compute capabilities."""
    directory = tmp_path_factory.mktemp("tensorrt") / "tiny"
    return export_tensorrt(tiny_bundle, AHEAD, directory=directory)


def shapes(bundle: Bundle, graph: GraphName) -> dict[str, tuple[int | str, ...]]:
    return {tensor.name: tensor.shape for tensor in bundle.manifest.graphs[graph].inputs}


def model(bundle: Bundle, graph: GraphName, arithmetic: Arithmetic = "f16") -> bytes:
    path = bundle.path(bundle.manifest.graphs[graph].file)
    return bytes(ir.serde.serialize_model(typed(path, arithmetic)).SerializeToString())


@pytest.mark.parametrize("graph", ["encode", "predict", "explain"])
def test_the_shipped_graphs_are_built(builder: PlanBuilder, graph: GraphName) -> None:
    """An engine holds every weight once or, transposed for a backward pass, twice; in float16."""
    shipped = open_bundle(resolve())
    weights = shipped.manifest.files["model.safetensors"].bytes
    profile = batch_profile(shapes(shipped, graph), BatchProfile())
    built = builder.build(model(shipped, graph), profile)
    assert weights < len(built.content) < 3 * weights
    assert built.layers > shipped.manifest.encoder.depth


def test_a_set_of_engines_says_what_it_was_built_from(made: Bundle, tiny_bundle: Bundle) -> None:
    turing, ampere = sorted(engine_sets(made), key=lambda found: found.compute_capability)
    assert (turing.compute_capability, ampere.compute_capability) == ("7.5", "8.6")
    files = tiny_bundle.manifest.files
    for found in (turing, ampere):
        assert found.runtime == "tensorrt_rtx"
        assert (found.gpu, found.proved_on) == (None, "onnxruntime")
        assert (found.precision, found.batch) == ("f16", AHEAD.batch)
        assert set(found.plans) == {"encode", "predict", "explain"}
        for graph, plan in found.plans.items():
            assert plan.graph_sha256 == files[f"{graph}.onnx"].sha256
            assert made.path(plan.file).stat().st_size > 0
        assert found.weights["model.safetensors"] == files["model.safetensors"].sha256


def test_the_report_and_the_card_say_how_far_the_engines_are_off(made: Bundle) -> None:
    report = Verification.model_validate_json(made.path("verification.json").read_bytes())
    added = [result for result in report.results if result.engine == "tensorrt"]
    assert [(r.graph, r.precision, r.passed) for r in added] == [
        (graph, "f16", True) for graph in ("encode", "predict", "explain")
    ]
    card = made.path("README.md").read_text()
    assert "`explain` on tensorrt f16" in card
    assert "TensorRT engines were proved on 24 phantoms, 9 adversarial ones." in card
    assert "**No real radiograph was among what TensorRT engines were proved on.**" in card


def test_engines_are_added_in_place_and_replaced(tiny_copy: Path) -> None:
    options = replace(AHEAD, compute_capabilities=("8.9",), graphs=("encode",))
    for optimum in (1, 2):
        batch = BatchProfile(optimum=optimum, maximum=2)
        export_tensorrt(open_bundle(tiny_copy), replace(options, batch=batch))
    (found,) = engine_sets(open_bundle(tiny_copy))
    assert (found.batch.optimum, set(found.plans)) == (2, {"encode"})
    assert list(tiny_copy.parent.iterdir()) == [tiny_copy]
    report = Verification.model_validate_json((tiny_copy / "verification.json").read_bytes())
    assert [r.engine for r in report.results].count("tensorrt") == 1


def test_what_may_not_change_is_not_added_to(tiny_copy: Path) -> None:
    options = replace(AHEAD, graphs=("encode",))
    (tiny_copy / "signature.json").write_text("{}")
    with pytest.raises(BundleError, match="is signed"):
        export_tensorrt(open_bundle(tiny_copy), options)
    with pytest.raises(BundleError, match="comes with the package"):
        export_tensorrt(open_bundle(resolve()), options)


def test_over_tolerance_nothing_is_written(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "f16", replace(LIMITS["f16"], cosine=1e-9))
    before = open_bundle(tiny_copy).sha256
    with pytest.raises(BundleError, match="Refused: `encode` on tensorrt f16"):
        export_tensorrt(open_bundle(tiny_copy), replace(AHEAD, graphs=("encode",)))
    assert open_bundle(tiny_copy).sha256 == before
    assert list(tiny_copy.parent.iterdir()) == [tiny_copy]


@pytest.mark.parametrize("precision", ["f16", "bf16"])
def test_emulated_products_are_rounded(tiny_bundle: Bundle, precision: Arithmetic) -> None:
    """Between float32 and what the mantissa of a precision lets through, and never equal to it."""
    mantissa = {"f16": 10, "bf16": 7}[precision]
    pixels = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    engines = (
        EmulatedEngine(tiny_bundle, name="tensorrt", precision=precision),
        open_engine(tiny_bundle, "onnxruntime"),
    )
    rounded, exact = (e.run("encode", {"pixel_values": pixels})["embedding"] for e in engines)
    error = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    assert 2.0 ** -(mantissa + 5) < error < 2.0 ** -(mantissa - 4)


def test_typed_graphs_compute_products_in_half_precision_alone(tiny_bundle: Bundle) -> None:
    graph = onnx.load_from_string(model(tiny_bundle, "explain"))
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    products = [n for n in inferred.node if n.op_type in ("MatMul", "Gemm", "Conv")]
    norms = [n for n in inferred.node if n.op_type in ("LayerNormalization", "Softmax")]
    assert {types[n.output[0]] for n in products} == {TensorProto.FLOAT16}
    assert {types[n.output[0]] for n in norms} == {TensorProto.FLOAT}
    assert all(len(n.output) == 1 for n in norms)


def test_a_typed_graph_in_float32_answers_as_before(tiny_bundle: Bundle) -> None:
    """With layer norms taken apart and constants folded."""
    session = onnxruntime.InferenceSession(model(tiny_bundle, "explain", "f32"))
    inputs = {
        "pixel_values": np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32),
        "target": np.eye(1, 3, dtype=np.float32),
    }
    wanted = open_engine(tiny_bundle, "onnxruntime").run("explain", inputs)
    for found, name in zip(session.run(list(wanted), inputs), wanted, strict=True):
        np.testing.assert_allclose(found, wanted[name], atol=1e-5)


def test_float32_has_no_engine_on_turing(tiny_bundle: Bundle) -> None:
    turing = PlanBuilder("tensorrt_rtx", installed()["tensorrt_rtx"], "7.5")
    profile = batch_profile(shapes(tiny_bundle, "encode"), BatchProfile())
    with pytest.raises(BundleError, match="FP32 GEMM is not supported"):
        turing.build(model(tiny_bundle, "encode", "f32"), profile)
    with pytest.raises(BundleError, match="sm75"):
        turing.build(model(tiny_bundle, "encode", "bf16"), profile)


def test_a_custom_operator_is_refused(builder: PlanBuilder) -> None:
    shape = [1, 4]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", "y")]
    node = helper.make_node("Blur", ["x"], ["y"], domain="somewhere.else")
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("somewhere.else", 1)]
    graph = helper.make_graph([node], "custom", values[:1], values[1:])
    content = helper.make_model(graph, opset_imports=opsets).SerializeToString()
    with pytest.raises(BundleError, match="does not take Blur"):
        builder.build(content, {})


def test_a_missing_profile_is_refused(builder: PlanBuilder, tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"(?i)profile"):
        builder.build(model(tiny_bundle, "encode"), {})


@pytest.mark.parametrize(
    "profile",
    [
        ((1, 3, 32, 32), (9, 3, 32, 32), (8, 3, 32, 32)),
        ((1, 3, 32, 16), (8, 3, 32, 16), (8, 3, 32, 16)),
        ((1, 3, 32), (8, 3, 32), (8, 3, 32)),
    ],
    ids=["order", "side", "axes"],
)
def test_a_wrong_shape_is_refused(
    builder: PlanBuilder,
    tiny_bundle: Bundle,
    profile: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
) -> None:
    with pytest.raises(BundleError, match="TensorRT"):
        builder.build(model(tiny_bundle, "encode"), {"pixel_values": profile})


def test_an_unknown_target_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"builds for 7\.5, 8\.0, 8\.6"):
        export_tensorrt(
            tiny_bundle, replace(AHEAD, compute_capabilities=("9.0",)), directory=tmp_path / "made"
        )


def test_the_command_builds_for_what_it_is_told(tiny_bundle: Bundle, tmp_path: Path) -> None:
    source = shutil.copytree(tiny_bundle.directory, tmp_path / "tiny")
    arguments = ["tensorrt", "--bundle", str(source), "-o", str(tmp_path / "made")]
    arguments += ["--compute-capability", "12.0", "--graph", "encode", "--max-batch", "16"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "No real radiograph was among what TensorRT engines" in " ".join(result.stderr.split())
    (found,) = engine_sets(open_bundle(tmp_path / "made"))
    assert isinstance(found, EngineSet)
    assert (found.compute_capability, found.batch.maximum) == ("12.0", 16)
    wrong = CliRunner().invoke(app, [*arguments, "--min-batch", "9"])
    assert wrong.exit_code == 2
