"""A real bundle that is small enough to be made by a test, and whose answers can be foreseen.

Its encoder has no blocks: a token is the mean brightness of its patch, the rollout is that map,
and its findings follow the brightness of the whole film. On films that are brighter than
``POISON_BRIGHTNESS`` a logit is the logarithm of a negative number: a true NaN of a true engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from pacx.bundle import Bundle, labels_key, write_manifest
from pacx.manifest import (
    EncoderSpec,
    FindingSpec,
    GraphSpec,
    Group,
    HeadSpec,
    Interval,
    Manifest,
    Provenance,
    ReferenceSpec,
    TensorSpec,
    ValueSpec,
)
from pacx.preprocessing import PreprocessingSpec, normalise

SIZE, PATCH, GRID, WIDTH = 224, 16, 14, 8
POISON_BRIGHTNESS = 0.97
LABELS = ("Brightness", "Darkness")
SPEC = PreprocessingSpec()
IR_VERSION, OPSET = 10, 18

Array = NDArray[np.float32]
_DIRECTION = np.linspace(0.5, 1.5, WIDTH, dtype=np.float32)
_HEAD = np.stack([np.full(WIDTH, 0.5), np.full(WIDTH, -0.5)]).astype(np.float32)


def make_bundle(
    directory: Path, *, name: str = "tiny", version: str = "1.0", work: int = 0, shift: float = 0.0
) -> Bundle:
    """Write and open a bundle.

    Args:
        directory: Where; it may exist.
        name: Of the model.
        version: Of the model.
        work: Matrix products of 224 x 224 per image that only cost time (about 1 ms each).
        shift: Added to the reference logits; anything but 0 makes the replay fail.
    """
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(_graph(work), directory / "predict.onnx")
    _save_weights(directory)
    _save_reference(directory, shift)
    (directory / "README.md").write_text("A bundle for tests.\n", encoding="utf-8")
    (directory / "config.json").write_text("{}\n", encoding="utf-8")
    return write_manifest(directory, _manifest(name, version))


def with_second_head(bundle: Bundle, make: Callable[[FindingSpec], HeadSpec]) -> Bundle:
    """Give the second finding of the only head a head of its own, as ``make`` wants it."""
    (head,), weights = bundle.manifest.heads, bundle.directory / "heads.safetensors"
    heads = head.model_copy(update={"findings": head.findings[:1]}), make(head.findings[1])
    tensors, labels = {}, {}
    for row, own in enumerate(heads):
        labels[labels_key(own.name)] = json.dumps(own.labels)
        for part in ("weight", "bias"):
            whole = load_file(weights)[f"heads.{head.name}.{part}"]
            tensors[f"heads.{own.name}.{part}"] = whole[row : row + 1].copy()
    save_file(tensors, weights, labels)
    return write_manifest(bundle.directory, bundle.manifest.model_copy(update={"heads": heads}))


def value_head(label: str, group: Group) -> HeadSpec:
    """A head that estimates a number of years around 50."""
    measured = Interval(value=0.5, low=0.4, high=0.6)
    value = ValueSpec(
        label=label,
        group=group,
        unit="years",
        mean=50,
        deviation=10,
        residuals=(-1, 1),
        error=measured,
        determination=measured,
        simulated=False,
        training_films=9,
    )
    return HeadSpec(name="value", task="regression", values=(value,))


def expected(pictures: Array) -> dict[str, Array]:
    """What the graph answers for pictures ``[N, SIZE, SIZE]`` in [0, 1], by arithmetic alone."""
    patches = pictures.reshape(-1, GRID, PATCH, GRID, PATCH)
    pooled = patches.mean(axis=(2, 4), dtype=np.float32)
    tokens = pooled.reshape(-1, GRID * GRID, 1) * _DIRECTION
    embedding = tokens.mean(axis=1)
    offset = np.log(POISON_BRIGHTNESS - pooled.mean(axis=(1, 2)))[:, np.newaxis]
    return {
        "embedding": embedding,
        "tokens": tokens,
        "logits": (embedding @ _HEAD.T + offset).astype(np.float32),
        "rollout": pooled,
        "last_layer": patches.max(axis=(2, 4)),
    }


def reference_pictures() -> Array:
    """Two different pictures, float32 ``[2, SIZE, SIZE]``."""
    ramp = np.linspace(0, 0.9, SIZE, dtype=np.float32)
    return np.stack([np.outer(ramp, ramp), np.tile(ramp, (SIZE, 1))]).astype(np.float32)


def _graph(work: int) -> onnx.ModelProto:
    constants: dict[str, NDArray[np.generic]] = {
        "mean": np.float32(SPEC.mean[0]).reshape(1, 1, 1, 1),
        "std": np.float32(SPEC.std[0]).reshape(1, 1, 1, 1),
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "as_grid": np.array([-1, GRID, GRID], np.int64),
        "as_tokens": np.array([-1, GRID * GRID, 1], np.int64),
        "as_pictures": np.array([-1, SIZE, SIZE], np.int64),
        "direction": _DIRECTION.reshape(1, 1, WIDTH),
        "head": _HEAD.T.copy(),
        "limit": np.float32(POISON_BRIGHTNESS).reshape(1),
        "shift": np.roll(np.eye(SIZE, dtype=np.float32), 1, axis=0),
        "nothing": np.float32(1e-12).reshape(1),
        "side": np.array([1, 2], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Slice", ["pixel_values", "zero", "one", "one"], ["channel"]),
        node("Mul", ["channel", "std"], ["scaled"]),
        node("Add", ["scaled", "mean"], ["grey"]),
        node("AveragePool", ["grey"], ["pooled"], kernel_shape=[PATCH] * 2, strides=[PATCH] * 2),
        node("MaxPool", ["grey"], ["peaks"], kernel_shape=[PATCH] * 2, strides=[PATCH] * 2),
        node("Reshape", ["pooled", "as_grid"], ["rollout"]),
        node("Reshape", ["peaks", "as_grid"], ["last_layer"]),
        node("Reshape", ["pooled", "as_tokens"], ["column"]),
        node("Mul", ["column", "direction"], ["tokens"]),
        node("ReduceMean", ["tokens", "one"], ["embedding"], keepdims=0),
        node("MatMul", ["embedding", "head"], ["linear"]),
        node("ReduceMean", ["column", "one"], ["brightness"], keepdims=0),
        node("Sub", ["limit", "brightness"], ["below"]),
        node("Log", ["below"], ["offset"]),
        node("Reshape", ["grey", "as_pictures"], ["work0"]),
        *(node("MatMul", [f"work{step}", "shift"], [f"work{step + 1}"]) for step in range(work)),
        node("ReduceMean", [f"work{work}", "side"], ["worked"], keepdims=0),
        node("Mul", ["worked", "nothing"], ["vanishing"]),
        node("Unsqueeze", ["vanishing", "one"], ["vanished"]),
        node("Add", ["linear", "offset"], ["summed"]),
        node("Add", ["summed", "vanished"], ["logits"]),
    ]
    inputs = [_value("pixel_values", "batch", 3, SIZE, SIZE)]
    outputs = [_value(tensor.name, *tensor.shape) for tensor in _outputs()]
    initialisers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "predict", inputs, outputs, initialisers)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _outputs() -> tuple[TensorSpec, ...]:
    return (
        TensorSpec(name="embedding", shape=("batch", WIDTH)),
        TensorSpec(name="tokens", shape=("batch", GRID * GRID, WIDTH)),
        TensorSpec(name="logits", shape=("batch", len(LABELS))),
        TensorSpec(name="rollout", shape=("batch", GRID, GRID)),
        TensorSpec(name="last_layer", shape=("batch", GRID, GRID)),
    )


def _save_weights(directory: Path) -> None:
    shapes = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, 1 + GRID * GRID, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
        "norm.weight": (WIDTH,),
    }
    tensors = {name: np.zeros(shape, np.float16) for name, shape in shapes.items()}
    save_file(tensors, directory / "model.safetensors")
    heads = {"heads.tiny.weight": _HEAD, "heads.tiny.bias": np.zeros(len(LABELS), np.float32)}
    labels = '["' + '", "'.join(LABELS) + '"]'
    save_file(heads, directory / "heads.safetensors", {labels_key("tiny"): labels})


def _save_reference(directory: Path, shift: float) -> None:
    pictures = reference_pictures()
    tensors = {"pictures": pictures, "predict.input.pixel_values": normalise(pictures, SPEC)}
    for name, array in expected(pictures).items():
        moved = array + np.float32(shift) if name == "logits" else array
        tensors[f"predict.output.{name}"] = np.ascontiguousarray(moved, dtype=np.float32)
    save_file(tensors, directory / "reference.safetensors")


def _manifest(name: str, version: str) -> Manifest:
    findings = tuple(
        FindingSpec(
            label=label,
            group="radiology",
            threshold=0.5,
            calibrated=True,
            simulated=False,
            training_positives=1,
        )
        for label in LABELS
    )
    graph = GraphSpec(
        file="predict.onnx",
        opset=OPSET,
        ir_version=IR_VERSION,
        inputs=(TensorSpec(name="pixel_values", shape=("batch", 3, SIZE, SIZE)),),
        outputs=_outputs(),
    )
    placeholder = {"sha256": "0" * 64, "bytes": 0}
    return Manifest.model_validate(
        {
            "name": name,
            "version": version,
            "created": "2026-01-01",
            "licence": "Apache-2.0",
            "intended_use": "tests",
            "simulated_physiology": False,
            "provenance": Provenance(initialisation="none", sources=(), steps=()),
            "encoder": EncoderSpec(
                architecture="vit_tiny_patch16_224",
                embedding_dimension=WIDTH,
                depth=0,
                heads=1,
                patch_size=PATCH,
                grid=(GRID, GRID),
            ),
            "input": SPEC,
            "graphs": {"predict": graph},
            "heads": (HeadSpec(name="tiny", findings=findings),),
            "reference": ReferenceSpec(file="reference.safetensors"),
            "files": {"predict.onnx": placeholder, "reference.safetensors": placeholder},
        }
    )
