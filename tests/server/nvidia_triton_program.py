"""Serves a bundle's graphs from NVIDIA's Triton: runs in an environment of its own, not in ours.

``python nvidia_triton_program.py BUNDLE HTTP_PORT GRPC_PORT METRICS_PORT`` serves until it is
killed. Its models are named as ``pacx export triton`` names them; they batch, and ONNX Runtime
computes them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pytriton.decorators import batch  # type: ignore[import-not-found]
from pytriton.model_config import ModelConfig, Tensor  # type: ignore[import-not-found]
from pytriton.triton import Triton, TritonConfig  # type: ignore[import-not-found]

LARGEST_BATCH = 8


Arrays = dict[str, NDArray[np.float32]]


def computing(bundle: Path, graph: dict[str, Any]) -> Callable[..., Arrays]:
    """What answers for one graph."""
    session = onnxruntime.InferenceSession(
        str(bundle / graph["file"]), providers=["CPUExecutionProvider"]
    )
    names = [tensor["name"] for tensor in graph["outputs"]]

    def infer(**inputs: NDArray[np.float32]) -> Arrays:
        return dict(zip(names, session.run(names, inputs), strict=True))

    in_batches: Callable[..., Arrays] = batch(infer)
    return in_batches


def tensors(specs: list[dict[str, Any]]) -> list[Tensor]:
    """Without the axis of the batch, as Triton wants them."""
    return [Tensor(name=t["name"], dtype=np.float32, shape=tuple(t["shape"][1:])) for t in specs]


def main(bundle: Path, http: int, grpc: int, metrics: int) -> None:
    """Serve the graphs that batch."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=http,
        grpc_address="127.0.0.1",
        grpc_port=grpc,
        metrics_port=metrics,
    )
    with Triton(config=config) as triton:
        for name in ("encode", "predict"):
            graph = manifest["graphs"][name]
            triton.bind(
                model_name=f"{manifest['name']}_{name}",
                infer_func=computing(bundle, graph),
                inputs=tensors(graph["inputs"]),
                outputs=tensors(graph["outputs"]),
                config=ModelConfig(max_batch_size=LARGEST_BATCH),
                strict=True,
            )
        triton.serve()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
