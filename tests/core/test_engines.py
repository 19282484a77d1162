"""The contract of engines, on every engine, device and precision that this machine has.

Each of the others is skipped with the engine's own word on why. Triton, whose device is an address,
is in ``tests/server/test_triton_engine.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pacx.bundle import Bundle, write_manifest
from pacx.engines import (
    VARIANTS,
    Engine,
    Variant,
    open_engine,
    open_gated,
    open_ungated,
    verify_engine,
)
from pacx.engines.cuda import Cuda
from pacx.engines.parity import LIMITS, distances
from pacx.engines.protocol import Tensor
from pacx.errors import (
    BundleError,
    EngineError,
    EngineUnavailable,
    ExtraMissing,
    NonFiniteOutput,
)
from pacx.preprocessing import normalise

TORCH = Variant("torch", "cpu", "f32")  # type: ignore[arg-type]
"""What a floor above adds."""
EVERYWHERE = {Variant("onnxruntime", "cpu", "f32"), Variant("openvino", "cpu", "f32"), TORCH}
"""What every machine has that runs these tests."""


Opened: TypeAlias = Callable[[], Engine]


@pytest.fixture(params=(*VARIANTS, TORCH), ids=str, scope="module")
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    """Every engine, device and precision, with the variant of the bundle that it needs.

    Calling it skips the test where it is not here, all for one reason in one line of the summary.
    """
    variant: Variant = request.param
    try:
        bundle = bundle_for(variant, request, tmp_path_factory)
        engine = open_ungated(
            bundle, variant.engine, device=variant.device, precision=variant.precision
        )
    except (ExtraMissing, EngineUnavailable) as refusal:
        if variant in EVERYWHERE:
            raise
        reason = f"{variant}: {refusal.detail}"
        yield lambda: pytest.skip(reason)
        return
    yield lambda: engine
    engine.close()


def bundle_for(
    variant: Variant, request: pytest.FixtureRequest, folders: pytest.TempPathFactory
) -> Bundle:
    """The tiny bundle, with integers or with engines for the GPU of this machine if need be."""
    if variant.precision == "int8":
        integers: Bundle = request.getfixturevalue("integer_bundle")
        return integers
    tiny: Bundle = request.getfixturevalue("tiny_bundle")
    if variant.engine != "tensorrt":
        return tiny
    from pacx_export.tensorrt import EngineOptions, export_tensorrt

    Cuda()  # Refuses where there is no GPU, before anything is built.
    options = EngineOptions(precision=variant.precision)
    return export_tensorrt(tiny, options, directory=folders.mktemp("tensorrt") / "tiny")


def pixels(bundle: Bundle, count: int, seed: int = 0) -> Tensor:
    size = bundle.manifest.input.size
    pictures = np.random.default_rng(seed).random((count, size, size), dtype=np.float32)
    return normalise(pictures, bundle.manifest.input)


def test_answers_every_output_of_the_manifest(opened: Opened, tiny_bundle: Bundle) -> None:
    engine = opened()
    for name in ("encode", "predict"):
        outputs = engine.run(name, {"pixel_values": pixels(tiny_bundle, 3)})
        spec = tiny_bundle.manifest.graphs[name]
        assert list(outputs) == [tensor.name for tensor in spec.outputs]
        for tensor in spec.outputs:
            assert outputs[tensor.name].shape == (3, *tensor.shape[1:])
            assert outputs[tensor.name].dtype == np.float32


def test_a_picture_is_answered_alike_in_every_batch_and_position(
    opened: Opened, tiny_bundle: Bundle
) -> None:
    engine = opened()

    def over_limit(actual: Tensor, wanted: Tensor) -> list[str]:
        found = distances("embedding", actual, wanted, tiny_bundle.manifest)
        limits = LIMITS[engine.precision]
        return [name for name, far in found.items() if far.max() > limits.of("embedding", name)]

    batch = pixels(tiny_bundle, 8)
    alone = np.concatenate(
        [engine.run("encode", {"pixel_values": row[np.newaxis]})["embedding"] for row in batch]
    )
    assert over_limit(np.roll(alone, 1, axis=0), alone), "the pictures look alike to it"
    for size in range(2, 9):
        together = engine.run("encode", {"pixel_values": batch[-size:]})["embedding"]
        assert not over_limit(together, alone[-size:])
        if engine.precision == "f32":
            np.testing.assert_allclose(together, alone[-size:], atol=1e-5)


def test_threads_do_not_mix_their_pictures(opened: Opened, tiny_bundle: Bundle) -> None:
    engine = opened()
    batches = [pixels(tiny_bundle, 1 + seed % 3, seed) for seed in range(24)]

    def embed(batch: Tensor) -> Tensor:
        return engine.run("encode", {"pixel_values": batch})["embedding"]

    in_turn = [embed(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for answered, wanted in zip(pool.map(embed, batches), in_turn, strict=True):
            np.testing.assert_allclose(answered, wanted, atol=1e-5)


def test_outputs_belong_to_the_caller(opened: Opened, tiny_bundle: Bundle) -> None:
    engine = opened()
    batch = pixels(tiny_bundle, 1)
    first = engine.run("encode", {"pixel_values": batch})["embedding"]
    kept = first.copy()
    engine.run("encode", {"pixel_values": 1 - batch})
    np.testing.assert_array_equal(first, kept)
    first[:] = 0


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"pixels": np.zeros((1, 3, 32, 32), np.float32)},
        {"pixel_values": np.zeros((1, 3, 32, 32), np.float64)},
        {"pixel_values": np.zeros((1, 3, 32, 16), np.float32)},
        {"pixel_values": np.zeros((3, 32, 32), np.float32)},
        {"pixel_values": np.zeros((0, 3, 32, 32), np.float32)},
    ],
    ids=["none", "name", "dtype", "side", "axes", "empty"],
)
def test_wrong_inputs_are_refused(opened: Opened, inputs: dict[str, Any]) -> None:
    engine = opened()
    with pytest.raises(EngineError):
        engine.run("encode", inputs)


def test_unknown_graph_is_refused(opened: Opened) -> None:
    engine = opened()
    with pytest.raises(EngineError, match="has no graph attend; it has encode, predict, explain"):
        engine.run("attend", {})


def test_not_a_number_is_never_an_answer(opened: Opened, tiny_bundle: Bundle) -> None:
    engine = opened()
    batch = pixels(tiny_bundle, 2)
    batch[1, 0, 0, 0] = np.nan
    with pytest.raises(NonFiniteOutput):
        engine.run("encode", {"pixel_values": batch})


def test_closed_engine_is_closed(tiny_bundle: Bundle) -> None:
    engine = open_engine(tiny_bundle)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run("encode", {"pixel_values": pixels(tiny_bundle, 1)})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("caffe", {}, "no such engine; known ones are auto, .*, triton, torch"),
        ("onnxruntime", {"device": "cuda"}, "no device cuda"),
        ("onnxruntime", {"precision": "bf16"}, "f32 and int8 only"),
        ("openvino", {"device": "npu"}, "no device npu"),
        ("openvino", {"precision": "int8"}, "pacx export int8"),
        ("auto", {"device": "tensorrt"}, "no device tensorrt"),
        ("triton", {}, "its address"),
        ("tensorrt", {}, "devices cuda"),
        ("tensorrt", {"device": "cuda:x"}, "devices cuda"),
        ("tensorrt", {"device": "cuda:99"}, "no NVIDIA GPU|no GPU cuda:99"),
        ("auto", {"device": "cuda:99"}, "no device cuda:99"),
        ("torch", {"device": "cuda"}, "device cpu"),
        ("torch", {"precision": "bf16"}, "precision f32"),
    ],
)
def test_what_is_not_there_is_an_error_and_no_fallback(
    tiny_bundle: Bundle, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineUnavailable, match=message):
        open_engine(tiny_bundle, name, **options)


def test_every_graph_is_right_on_auto(tiny_bundle: Bundle) -> None:
    engine = open_engine(tiny_bundle)
    for graph in tiny_bundle.manifest.graphs:
        inputs = reference_inputs(tiny_bundle, graph)
        assert engine.run(graph, inputs)
    engine.close()


def test_refused_by_the_export_means_not_offered(tiny_bundle: Bundle) -> None:
    """OpenVINO computes another relevance in float32, so that graph is not offered there."""
    refused = {
        (entry.graph, entry.engine, entry.precision) for entry in tiny_bundle.manifest.refused
    }
    assert ("explain", "openvino", "f32") in refused
    engine = open_gated(tiny_bundle, "openvino", precision="f32")
    with pytest.raises(EngineUnavailable, match="explain is not offered on openvino in f32"):
        engine.run("explain", reference_inputs(tiny_bundle, "explain"))
    assert engine.run("encode", {"pixel_values": pixels(tiny_bundle, 1)})


def reference_inputs(bundle: Bundle, graph: str) -> dict[str, Tensor]:
    vectors = load_file(bundle.path(bundle.manifest.reference.file))
    prefix = f"{graph}.input."
    return {key.removeprefix(prefix): v for key, v in vectors.items() if key.startswith(prefix)}


def failures(bundle: Bundle) -> set[str]:
    engine = open_ungated(bundle, "onnxruntime")
    return {report.graph for report in verify_engine(bundle, engine) if not report.passed}


def test_untouched_bundle_passes_its_replay(tiny_bundle: Bundle) -> None:
    assert failures(tiny_bundle) == set()


def test_one_changed_weight_fails_the_replay(tiny_copy: Path, tiny_bundle: Bundle) -> None:
    weights = load_file(tiny_copy / "model.safetensors")
    weights["blocks.1.mlp.fc2.weight"][3, 5] += np.float16(0.5)
    save_file(weights, tiny_copy / "model.safetensors", metadata={"format": "pt"})
    assert failures(write_manifest(tiny_copy, tiny_bundle.manifest)) == {
        "encode",
        "predict",
        "explain",
    }


def test_swapped_labels_are_refused(tiny_copy: Path, tiny_bundle: Bundle) -> None:
    head = tiny_bundle.manifest.heads[0]
    first, second, *rest = head.findings
    swapped = head.model_copy(update={"findings": (second, first, *rest)})
    with pytest.raises(BundleError, match="other labels"):
        write_manifest(tiny_copy, tiny_bundle.manifest.model_copy(update={"heads": (swapped,)}))


def test_a_mean_that_is_one_percent_off_is_refused(tiny_copy: Path, tiny_bundle: Bundle) -> None:
    spec = tiny_bundle.manifest.input
    moved = spec.model_copy(update={"mean": (spec.mean[0] * 1.01, *spec.mean[1:])})
    bundle = write_manifest(tiny_copy, tiny_bundle.manifest.model_copy(update={"input": moved}))
    with pytest.raises(BundleError, match="another preprocessing"):
        failures(bundle)
