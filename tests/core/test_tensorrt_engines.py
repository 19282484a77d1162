"""TensorRT engines of another machine or other weights are refused before they are loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file

from pacx.bundle import Bundle, write_manifest
from pacx.engines.base import in_parts
from pacx.engines.onnxruntime import bound, providers
from pacx.engines.plans import BatchProfile, EngineSet, Machine, Plan, choose_engines, hashes
from pacx.engines.protocol import Precision
from pacx.errors import BundleError, EngineUnavailable

HERE = Machine(runtime="tensorrt_rtx", version="1.7.1", gpu="NVIDIA A10", compute_capability="8.6")


def add_engines(bundle: Bundle, folder: Path, precision: Precision, gpu: str | None) -> None:
    plans = folder / "tensorrt" / f"sm86-1.7.1-{precision}"
    plans.mkdir(parents=True)
    (plans / "encode.plan").write_bytes(b"not read before all else fits")
    record = EngineSet(
        runtime=HERE.runtime,
        version=HERE.version,
        gpu=gpu,
        compute_capability=HERE.compute_capability,
        precision=precision,
        batch=BatchProfile(),
        weights=hashes(bundle),
        plans={
            "encode": Plan(
                file=f"tensorrt/{plans.name}/encode.plan",
                graph_sha256=bundle.manifest.files["encode.onnx"].sha256,
                layers=12,
            )
        },
        proved_on="onnxruntime",
    )
    (plans / "engines.json").write_text(record.model_dump_json())


@pytest.fixture
def equipped(tiny_bundle: Bundle, tiny_copy: Path) -> Bundle:
    """A bundle with a set of engines for any A10 in f16, and one for this A10 in bf16."""
    add_engines(tiny_bundle, tiny_copy, "f16", None)
    add_engines(tiny_bundle, tiny_copy, "bf16", HERE.gpu)
    return write_manifest(tiny_copy, tiny_bundle.manifest)


def test_the_fastest_that_fits_is_taken(equipped: Bundle) -> None:
    assert choose_engines(equipped, [HERE], None).precision == "f16"
    assert choose_engines(equipped, [HERE], "bf16").precision == "bf16"
    other = replace(HERE, runtime="tensorrt", version="10.1")
    assert choose_engines(equipped, [other, HERE], None).precision == "f16"


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (replace(HERE, runtime="tensorrt"), "the runtime was tensorrt_rtx"),
        (replace(HERE, version="1.8.0"), r"was 1\.7\.1 when they were built and is 1\.8\.0 here"),
        (replace(HERE, compute_capability="8.9"), r"compute capability was 8\.6"),
    ],
    ids=["runtime", "version", "capability"],
)
def test_engines_for_another_machine_are_refused(
    equipped: Bundle, machine: Machine, reason: str
) -> None:
    with pytest.raises(EngineUnavailable, match=reason):
        choose_engines(equipped, [machine], None)


def test_engines_that_were_tuned_on_a_gpu_stay_with_it(equipped: Bundle) -> None:
    sibling = replace(HERE, gpu="NVIDIA RTX A6000")
    assert choose_engines(equipped, [sibling], None).precision == "f16"
    with pytest.raises(EngineUnavailable, match="the GPU was NVIDIA A10"):
        choose_engines(equipped, [sibling], "bf16")


def test_engines_of_other_weights_are_refused(equipped: Bundle) -> None:
    path = equipped.path("heads.safetensors")
    heads = load_file(path)
    labels = {"labels.findings": '["Pneumonia", "Effusion", "Edema"]'}
    save_file({name: value * 2 for name, value in heads.items()}, path, metadata=labels)
    changed = write_manifest(equipped.directory, equipped.manifest)
    with pytest.raises(EngineUnavailable, match=r"heads\.safetensors changed since"):
        choose_engines(changed, [HERE], None)


def test_a_bundle_without_engines_says_how_to_get_them(
    tiny_bundle: Bundle, equipped: Bundle
) -> None:
    with pytest.raises(EngineUnavailable, match="pacx export tensorrt builds them"):
        choose_engines(tiny_bundle, [HERE], None)
    with pytest.raises(EngineUnavailable, match="no TensorRT engines in f32"):
        choose_engines(equipped, [HERE], "f32")


def test_a_damaged_description_is_refused(equipped: Bundle) -> None:
    (equipped.directory / "tensorrt/sm86-1.7.1-f16/engines.json").write_text("{}")
    spoilt = write_manifest(equipped.directory, equipped.manifest)
    with pytest.raises(BundleError, match="does not describe TensorRT engines"):
        choose_engines(spoilt, [HERE], None)


def test_sizes_of_a_batch_go_upwards() -> None:
    with pytest.raises(ValidationError, match="in the order"):
        BatchProfile(minimum=4, optimum=2, maximum=8)


def test_a_large_batch_is_cut_into_parts_in_order() -> None:
    rows = np.arange(11, dtype=np.float32).reshape(11, 1)
    parts = [part["x"] for part in in_parts({"x": rows}, 4)]
    assert [len(part) for part in parts] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate(parts), rows)


def test_bound_outputs_are_those_of_a_plain_run(tiny_bundle: Bundle) -> None:
    session = onnxruntime.InferenceSession(
        tiny_bundle.path("encode.onnx"),
        providers=providers("cpu", 0, tiny_bundle.manifest.graphs["encode"]),
    )
    pixels = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
    found = bound(session, ["tokens", "embedding"], "cpu")({"pixel_values": pixels})
    wanted = session.run(["tokens", "embedding"], {"pixel_values": pixels})
    for left, right in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(left, right)


def test_providers_of_a_gpu_keep_float32_and_know_the_batch(tiny_bundle: Bundle) -> None:
    spec = tiny_bundle.manifest.graphs["predict"]
    (cuda,) = providers("cuda", 1, spec)
    assert cuda == ("CUDAExecutionProvider", {"device_id": "1", "use_tf32": "0"})
    (name, options), fallback = providers("tensorrt", 1, spec)
    assert (name, fallback) == ("TensorrtExecutionProvider", cuda)
    assert options["trt_profile_min_shapes"] == "pixel_values:1x3x32x32"
    assert options["trt_profile_max_shapes"] == "pixel_values:8x3x32x32"
