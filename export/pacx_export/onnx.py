"""Torch modules -> ONNX graphs that keep no weights of their own.

Every initialiser becomes external data inside one of the bundle's safetensors files (location,
offset, length), followed by a cast to float32 where the file stores float16.
"""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from pydantic import BaseModel
from torch import Tensor

from pacx.errors import BundleError
from pacx.manifest import GraphSpec, TensorSpec
from pacx_export.graphs import BATCH, Graph, Traced

OPSET = 20
_DTYPES = {"F32": ir.DataType.FLOAT, "F16": ir.DataType.FLOAT16}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """Where the bytes of a tensor lie: one entry of a safetensors header."""

    file: str
    dtype: ir.DataType
    shape: tuple[int, ...]
    offset: int
    length: int


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """Read a safetensors header: every tensor with its place in the file, in bytes."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    return {
        name: _stored(path.name, 8 + length, _Entry.model_validate(entry))
        for name, entry in header.items()
        if name != "__metadata__"
    }


def write_graph(graph: Graph, directory: Path, stored: Mapping[str, StoredTensor]) -> GraphSpec:
    """Export one graph into ``directory``, beside the weight files that it refers to.

    Args:
        graph: What to export.
        directory: Where ``stored`` lies too.
        stored: All tensors of the weight files by name.

    Raises:
        BundleError: A weight of the graph is in no file, or the graph is not valid ONNX.
    """
    model = _export(graph)
    ClearMetadataAndDocStringPass()(model)
    _refer(model.graph, stored)
    file = f"{graph.name}.onnx"
    proto = ir.serde.serialize_model(model)
    (directory / file).write_bytes(proto.SerializeToString(deterministic=True))
    _check(directory / file)
    return GraphSpec(
        file=file,
        opset=OPSET,
        ir_version=proto.ir_version,
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


class _Entry(BaseModel):
    """What a safetensors header says about one tensor."""

    dtype: Literal["F32", "F16"]
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def _stored(file: str, start: int, entry: _Entry) -> StoredTensor:
    begin, end = entry.data_offsets
    return StoredTensor(
        file=file,
        dtype=_DTYPES[entry.dtype],
        shape=entry.shape,
        offset=start + begin,
        length=end - begin,
    )


def _export(graph: Graph) -> ir.Model:
    names = [tensor.name for tensor in graph.inputs]
    examples = tuple(example(tensor) for tensor in graph.inputs)
    dynamic = {name: _axes(tensor) for name, tensor in zip(names, graph.inputs, strict=True)}
    with torch_warnings_silenced():
        program = torch.onnx.export(
            Traced(graph.module, examples).eval() if graph.differentiates else graph.module,
            examples,
            dynamo=True,
            optimize=False,
            verbose=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[tensor.name for tensor in graph.outputs],
            dynamic_shapes=dynamic if any(dynamic.values()) else None,
        )
    if program is None:
        raise BundleError(f"{graph.name} could not be exported.")
    return program.model


def _axes(tensor: TensorSpec) -> dict[int, object]:
    return {0: torch.export.Dim(BATCH)} if tensor.shape[0] == BATCH else {}


def example(tensor: TensorSpec) -> Tensor:
    """Make an input of the right shape; the dynamic axis becomes 2, as 1 would be frozen in."""
    return torch.zeros([2 if axis == BATCH else int(axis) for axis in tensor.shape])


@contextmanager
def torch_warnings_silenced() -> Iterator[None]:
    """Keep torch's warning about its own pytree internals from the user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*LeafSpec.*deprecated", FutureWarning)
        yield


def _refer(graph: ir.Graph, stored: Mapping[str, StoredTensor]) -> None:
    for name, value in list(graph.initializers.items()):
        key = _key(name)
        if key not in stored:
            raise BundleError(f"{key}: no weight file holds this tensor of the graph.")
        del graph.initializers[name]
        _replace(graph, value, key, stored[key])


def _key(name: str) -> str:
    """``module.classifier.encoder.norm.weight`` -> ``norm.weight``, as the files name it."""
    return name.split("classifier.", 1)[-1].removeprefix("encoder.")


def _replace(graph: ir.Graph, value: ir.Value, key: str, place: StoredTensor) -> None:
    tensor = ir.ExternalTensor(
        location=place.file,
        offset=place.offset,
        length=place.length,
        dtype=place.dtype,
        shape=ir.Shape(place.shape),
        name=key,
    )
    weight = ir.Value(
        name=key, type=ir.TensorType(place.dtype), shape=ir.Shape(place.shape), const_value=tensor
    )
    graph.initializers[key] = weight
    if place.dtype == ir.DataType.FLOAT:
        value.replace_all_uses_with(weight)
        return
    cast = ir.node("Cast", [weight], {"to": ir.DataType.FLOAT})
    cast.outputs[0].name = f"{key}.float32"
    cast.outputs[0].type, cast.outputs[0].shape = value.type, value.shape
    graph.insert_before(graph[0], cast)
    value.replace_all_uses_with(cast.outputs[0])


def _check(path: Path) -> None:
    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BundleError(f"{path.name} is not a valid graph.") from error
