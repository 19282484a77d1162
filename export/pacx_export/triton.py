"""A Triton model repository from a bundle: one model a graph, on Triton's ONNX Runtime backend.

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_repository.html
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from pacx.bundle import HEADS, WEIGHTS, Bundle, staging
from pacx.manifest import GraphSpec, TensorSpec

VERSION = "1"
MAX_BATCH = 8
QUEUE_DELAY_US = 2000
HASH = "pacx.model.sha256"
"""Parameter of every model: the bundle that it was made from."""


def export_triton(bundle: Bundle, directory: Path, *, max_batch: int = MAX_BATCH) -> None:
    """Write a model repository in one rename; the models are called ``<bundle>_<graph>``.

    Args:
        bundle: Whose graphs to serve; the weights lie beside each, as ONNX Runtime asks for.
        directory: To be made.
        max_batch: The most images of one batch; a graph whose batch is fixed is not batched.

    Raises:
        BundleError: ``directory`` exists.
    """
    with staging(directory) as repository:
        for graph, spec in bundle.manifest.graphs.items():
            name = f"{bundle.manifest.name}_{graph}"
            version = repository / name / VERSION
            version.mkdir(parents=True)
            shutil.copyfile(bundle.path(spec.file), version / "model.onnx")
            for weights in (WEIGHTS, HEADS):
                shutil.copyfile(bundle.path(weights), version / weights)
            text = model_configuration(name, spec, bundle.sha256, max_batch)
            (repository / name / "config.pbtxt").write_text(text, encoding="utf-8")


def model_configuration(name: str, spec: GraphSpec, sha256: str, max_batch: int) -> str:
    """Write ``config.pbtxt``: batching, warm-up, instances and versions of one model."""
    batched = isinstance(spec.inputs[0].shape[0], str)
    parts = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch if batched else 0}",
        *_tensors("input", spec.inputs),
        *_tensors("output", spec.outputs),
        _warm_up(spec.inputs),
        "instance_group [ { count: 1 kind: KIND_AUTO } ]",
        "version_policy { latest { num_versions: 1 } }",
        f'parameters {{ key: "{HASH}" value {{ string_value: "{sha256}" }} }}',
    ]
    if batched:
        parts.append(f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_DELAY_US} }}")
    return "\n".join(parts) + "\n"


def _tensors(kind: str, tensors: Iterable[TensorSpec]) -> list[str]:
    return [
        f'{kind} [ {{ name: "{tensor.name}" data_type: TYPE_FP32 dims: {_dimensions(tensor)} }} ]'
        for tensor in tensors
    ]


def _warm_up(inputs: Iterable[TensorSpec]) -> str:
    zeros = " ".join(
        f'inputs {{ key: "{tensor.name}" value '
        f"{{ data_type: TYPE_FP32 dims: {_dimensions(tensor)} zero_data: true }} }}"
        for tensor in inputs
    )
    return f'model_warmup [ {{ name: "zeros" batch_size: 1 {zeros} }} ]'


def _dimensions(tensor: TensorSpec) -> str:
    """Without the batch where it is dynamic, as Triton counts it."""
    shape = tensor.shape[1:] if isinstance(tensor.shape[0], str) else tensor.shape
    return f"[ {', '.join(map(str, shape))} ]"
