"""A bundle's graph with its weights inside and the number type of every product written out.

TensorRT takes the precision from the graph, so the graph must say it: matrix products and
convolutions compute in half precision, between casts, and all else (norms, softmax, residual sums)
in float32, as torch's autocast does. Two things that its parser lacks are written in other
operators: bytes (they fold away with the constants) and a layer norm that also returns its mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass
from onnxscript.optimizer import fold_constants

Arithmetic = Literal["f32", "f16", "bf16"]
PRODUCTS = frozenset({"MatMul", "Gemm", "Conv"})
_HALVES = {"f16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}


def folded(source: Path) -> ir.Model:
    """Read a graph and put its weights into it as float32 constants."""
    model = ir.load(source)
    ir.external_data.load_to_model(model)
    fold_constants(model, input_size_limit=2**31, output_size_limit=2**31)
    LiftConstantsToInitializersPass(lift_all_constants=False)(model)
    RemoveUnusedNodesPass()(model)
    return model


def typed(source: Path, arithmetic: Arithmetic, *, emulated: bool = False) -> ir.Model:
    """Read a graph and write the number type of its products into it.

    Args:
        source: One of a bundle's graphs, all float32.
        arithmetic: What products compute in; inputs and outputs of the graph stay float32.
        emulated: Round what goes into and comes out of products as ``arithmetic`` would, but
            compute them in float32: for engines that have no products in half precision.
    """
    model = folded(source)
    for node in [*model.graph]:
        if node.op_type == "LayerNormalization":
            _split_statistics(model.graph, node)
    if arithmetic != "f32":
        _type_products(model.graph, _HALVES[arithmetic], emulated=emulated)
    RemoveUnusedNodesPass()(model)
    return model


def _split_statistics(graph: ir.Graph, node: ir.Node) -> None:
    """Compute mean and inverse deviation of a layer norm beside it, where they are wanted."""
    wanted = [output for output in node.outputs[1:] if list(output.uses())]
    plain = _emit(graph, node, "LayerNormalization", [*node.inputs], [*node.attributes.values()])
    node.outputs[0].replace_all_uses_with(plain, replace_graph_outputs=True)
    if wanted:
        mean, inverse = _statistics(graph, node)
        for output, value in zip(node.outputs[1:], (mean, inverse), strict=True):
            output.replace_all_uses_with(value)
    graph.remove(node, safe=True)


def _statistics(graph: ir.Graph, node: ir.Node) -> tuple[ir.Value, ir.Value]:
    """Mean and 1 / sqrt(variance + epsilon) over the last axis, which stays with length 1."""
    values = node.inputs[0]
    last = _constant(graph, node, ir.tensor([-1], dtype=ir.DataType.INT64))
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    mean = _emit(graph, node, "ReduceMean", [values, last])
    centred = _emit(graph, node, "Sub", [values, mean])
    variance = _emit(graph, node, "ReduceMean", [_emit(graph, node, "Mul", [centred] * 2), last])
    small = _constant(graph, node, ir.tensor(epsilon, dtype=ir.DataType.FLOAT))
    deviation = _emit(graph, node, "Sqrt", [_emit(graph, node, "Add", [variance, small])])
    return mean, _emit(graph, node, "Reciprocal", [deviation])


def _type_products(graph: ir.Graph, half: ir.DataType, *, emulated: bool) -> None:
    rounded: dict[ir.Value, ir.Value] = {}
    for node in [*graph]:
        if node.op_type not in PRODUCTS:
            continue
        for index, value in enumerate(node.inputs):
            if value is not None and value not in rounded:
                rounded[value] = _round(graph, node, value, half, emulated=emulated)
            if value is not None:
                node.replace_input_with(index, rounded[value])
        _restore(graph, node, half, emulated=emulated)


def _round(
    graph: ir.Graph, before: ir.Node, value: ir.Value, half: ir.DataType, *, emulated: bool
) -> ir.Value:
    narrow = _cast(graph, before, value, half)
    return _cast(graph, before, narrow, ir.DataType.FLOAT) if emulated else narrow


def _restore(graph: ir.Graph, node: ir.Node, half: ir.DataType, *, emulated: bool) -> None:
    """Cast a product's output back to float32 for all who use it."""
    output = node.outputs[0]
    product = _emit(graph, node, node.op_type, [*node.inputs], [*node.attributes.values()])
    wide = _cast(graph, node, _cast(graph, node, product, half) if emulated else product)
    wide.shape, wide.type, name = output.shape, ir.TensorType(ir.DataType.FLOAT), output.name
    output.replace_all_uses_with(wide, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    wide.name = name


def _cast(
    graph: ir.Graph, before: ir.Node, value: ir.Value, kind: ir.DataType = ir.DataType.FLOAT
) -> ir.Value:
    return _emit(graph, before, "Cast", [value], [ir.AttrInt64("to", kind)])


def _constant(graph: ir.Graph, before: ir.Node, tensor: ir.TensorProtocol) -> ir.Value:
    return _emit(graph, before, "Constant", [], [ir.AttrTensor("value", tensor)])


def _emit(
    graph: ir.Graph,
    before: ir.Node,
    operator: str,
    inputs: list[ir.Value | None],
    attributes: list[ir.Attr] | None = None,
) -> ir.Value:
    node = ir.Node("", operator, inputs, attributes or ())
    graph.insert_before(before, node)
    return node.outputs[0]
