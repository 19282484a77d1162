"""A graph that is an encoder of a kind, and not one of ours."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def write_pooling(path: Path) -> Path:
    """A graph whose embedding is the mean of each channel; batches of one only."""
    pixels = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])
    output = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 3])
    pool = helper.make_node("GlobalAveragePool", ["image"], ["pooled"])
    flat = helper.make_node("Flatten", ["pooled"], ["features"])
    graph = helper.make_graph([pool, flat], "pooling", [pixels], [output])
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path
