"""How fast every engine and precision runs a bundle's graphs, all interleaved in one run.

    python benchmarks/engines.py [BUNDLE] [--repeats 30] [--threads N]

Variants take turns call by call, so that a busy moment hits all of them alike. Medians of wall time
and of the process's own CPU time (which other processes disturb least) are given beside the ratio
of CPU times to ONNX Runtime f32 at batch 1. A variant that the bundle's gate refuses is
measured too and marked. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pacx.bundle import Bundle, open_bundle, resolve
from pacx.engines import GatedEngine, open_ungated
from pacx.engines.base import GraphEngine
from pacx.engines.protocol import Precision, Tensor
from pacx.errors import EngineUnavailable
from pacx.preprocessing import normalise

VARIANTS: tuple[tuple[str, Precision], ...] = (
    ("onnxruntime", "f32"),
    ("onnxruntime", "int8"),
    ("openvino", "f32"),
    ("openvino", "bf16"),
)
BATCHES = (1, 8)
BASELINE = "predict onnxruntime f32 b1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One graph on one engine at one batch size."""

    name: str
    images: int
    offered: bool
    call: Callable[[], object]


def cases(bundle: Bundle, engine: GraphEngine) -> Iterator[Case]:
    """Every graph and batch size that the engine can run."""
    gate = GatedEngine(bundle, engine)
    for graph, spec in bundle.manifest.graphs.items():
        sizes = BATCHES if isinstance(spec.inputs[0].shape[0], str) else (1,)
        for images in sizes:
            inputs = example(bundle, graph, images)
            try:
                engine.run(graph, inputs)
            except EngineUnavailable:
                continue
            yield Case(
                name=f"{graph} {engine.name} {engine.precision} b{images}",
                images=images,
                offered=gate.offers(graph),
                call=lambda graph=graph, inputs=inputs: engine.run(graph, inputs),  # type: ignore[misc]
            )


def example(bundle: Bundle, graph: str, images: int) -> dict[str, Tensor]:
    """Noise, as the time does not depend on the picture."""
    size = bundle.manifest.input.size
    pictures = np.random.default_rng(0).random((images, size, size), dtype=np.float32)
    inputs = {"pixel_values": normalise(pictures, bundle.manifest.input)}
    if graph == "explain":
        inputs["target"] = np.eye(1, len(bundle.manifest.labels), dtype=np.float32)
    return inputs


@dataclass(frozen=True, slots=True)
class Median:
    """Milliseconds an image."""

    wall: float
    cpu: float


def measure(all_cases: list[Case], repeats: int) -> dict[str, Median]:
    """Time every case; the cases take turns."""
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(repeats):
        for case in all_cases:
            wall, cpu = time.perf_counter(), time.process_time()
            case.call()
            taken = time.perf_counter() - wall, time.process_time() - cpu
            times[case.name].append((taken[0] / case.images, taken[1] / case.images))
    return {name: Median(*1000 * np.median(rows, axis=0)) for name, rows in times.items()}


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", nargs="?", default=None, type=Path)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle or resolve())
    found: list[Case] = []
    for name, precision in VARIANTS:
        try:
            engine = open_ungated(bundle, name, precision=precision, threads=options.threads)
        except EngineUnavailable:
            continue
        found += cases(bundle, engine)
    medians = measure(found, options.repeats)
    manifest = bundle.manifest
    print(f"{manifest.name} {manifest.version}, {manifest.encoder.architecture}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| graph, engine, precision, batch | wall ms | CPU ms | ratio | offered |")
    print("|---|---|---|---|---|")
    for case in found:
        median = medians[case.name]
        ratio = medians[BASELINE].cpu / median.cpu
        offered = "yes" if case.offered else "no"
        print(f"| {case.name} | {median.wall:.1f} | {median.cpu:.1f} | {ratio:.2f} | {offered} |")


if __name__ == "__main__":
    main()
