"""Reference vectors: phantom inputs and what torch answers to them in float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from pacx.engines.protocol import Tensor
from pacx.engines.replay import PICTURES
from pacx.manifest import GraphSpec
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_export.graphs import BATCH, Graph
from pacx_export.pictures import phantoms

FILE = "reference/vectors.safetensors"
SEEDS = (1, 2, 3)


def graph_inputs(
    graph: Graph | GraphSpec, pictures: Tensor, spec: PreprocessingSpec, *, target: int = 0
) -> dict[str, Tensor]:
    """Turn pictures into the inputs of a graph.

    Args:
        graph: One whose batch is fixed gets as many pictures as it takes.
        pictures: float32 ``[N, S, S]`` in [0, 1].
        spec: How they are normalised.
        target: The finding to explain in the first picture, modulo their number; the next
            picture gets the next finding.
    """
    inputs: dict[str, Tensor] = {}
    for tensor in graph.inputs:
        rows = len(pictures) if tensor.shape[0] == BATCH else int(tensor.shape[0])
        if tensor.name == "pixel_values":
            inputs[tensor.name] = normalise(pictures[:rows], spec)
        else:
            classes = int(tensor.shape[1])
            wanted = (target + np.arange(rows)) % classes
            inputs[tensor.name] = np.eye(classes, dtype=np.float32)[wanted]
    return inputs


def write_reference(graphs: Sequence[Graph], directory: Path, spec: PreprocessingSpec) -> None:
    """Write the pictures, and inputs and outputs of every graph."""
    pictures = phantoms(SEEDS, spec)
    vectors = {PICTURES: pictures}
    for graph in graphs:
        inputs = graph_inputs(graph, pictures, spec)
        outputs = graph.answers(inputs)
        vectors |= {f"{graph.name}.input.{name}": array for name, array in inputs.items()}
        vectors |= {f"{graph.name}.output.{name}": array for name, array in outputs.items()}
    (directory / FILE).parent.mkdir(parents=True, exist_ok=True)
    content = save({name: np.ascontiguousarray(array) for name, array in vectors.items()})
    (directory / FILE).write_bytes(content)
