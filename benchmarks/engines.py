r"""How fast every engine and precision runs a bundle's graphs, all interleaved in one run.

    python -m benchmarks.engines [BUNDLE] [--repeats 30] [--threads N] [--integers FILMS]

Variants take turns call by call, so that a busy moment hits all of them alike. Medians of wall time
and of the process's own CPU time (which other processes disturb least) are given beside the ratio
of CPU times to ONNX Runtime f32 at batch 1. A variant that the bundle's gate refuses is
measured too and marked. ``--integers`` builds every recipe of ``pacx export int8`` beside what the
bundle holds, calibrated on a folder of films, and measures it without having proved it. Nothing is
asserted.

A bundle of a ViT-B/16, for whose times random weights do (NIH is the folder of films):

    python -c "import timm, torch; from safetensors.torch import save_file; torch.manual_seed(0); \
        model = timm.create_model('vit_base_patch16_224', num_classes=0); \
        save_file(model.state_dict(), 'vit-b.safetensors')"
    pacx import vit-b.safetensors -o runs/vit-b --initialisation "timm's random numbers, for timing"
    pacx train heads --encoder runs/vit-b --data NIH --recipe smoke -o runs/vit-b-heads
    pacx export bundle runs/vit-b-heads -o vit-b --films NIH
    python -m benchmarks.engines vit-b --integers NIH

Without the heads, which are learnt from nothing, the bundle has no ``explain``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pacx.bundle import Bundle, open_bundle, resolve, write_manifest
from pacx.engines import VARIANTS, GatedEngine, open_ungated
from pacx.engines.base import INT8, GraphEngine
from pacx.engines.protocol import Tensor
from pacx.errors import EngineUnavailable, ExtraMissing
from pacx.preprocessing import normalise

BATCHES = (1, 8)
BASELINE = "predict onnxruntime f32 b1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One graph on one engine at one batch size; ``offered`` is what its gate says."""

    name: str
    images: int
    offered: str
    call: Callable[[], object]


def carried(bundle: Bundle, threads: int | None) -> Iterator[Case]:
    """Everything that the bundle holds and this machine has."""
    for variant in VARIANTS:
        try:
            engine = open_ungated(
                bundle,
                variant.engine,
                device=variant.device,
                precision=variant.precision,
                threads=threads,
            )
        except (ExtraMissing, EngineUnavailable):
            continue
        yield from cases(bundle, engine, str(variant), _verdict(GatedEngine(bundle, engine)))


def _verdict(gate: GatedEngine) -> Callable[[str], str]:
    return lambda graph: "yes" if gate.offers(graph) else "no"


def built(bundle: Bundle, films: Path, folder: Path, threads: int | None) -> Iterator[Case]:
    """Every recipe of integers, in copies of the bundle below ``folder``."""
    from pacx_export.int8 import RECIPES, write_integers
    from pacx_export.pictures import calibration_pictures

    spec = bundle.manifest.input
    pictures = np.concatenate([*calibration_pictures(films, spec).values()])
    for name, recipes in RECIPES.items():
        for recipe in recipes:
            label = f"{name} int8 {recipe.__name__}"
            copy = folder / label.replace(" ", "-")
            shutil.copytree(bundle.directory, copy, ignore=shutil.ignore_patterns(INT8.strip("/")))
            write_integers(bundle, copy, recipe, normalise(pictures, spec))
            made = write_manifest(copy, bundle.manifest)
            engine = open_ungated(made, name, precision="int8", threads=threads)
            yield from cases(made, engine, label, lambda _: "not proved")


def cases(
    bundle: Bundle, engine: GraphEngine, label: str, offered: Callable[[str], str]
) -> Iterator[Case]:
    """Every graph and batch size that the engine can run."""
    for graph, spec in bundle.manifest.graphs.items():
        sizes = BATCHES if isinstance(spec.inputs[0].shape[0], str) else (1,)
        for images in sizes:
            inputs = example(bundle, graph, images)
            try:
                engine.run(graph, inputs)
            except EngineUnavailable:
                continue
            yield Case(
                name=f"{graph} {label} b{images}",
                images=images,
                offered=offered(graph),
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


def table(found: list[Case], medians: dict[str, Median]) -> str:
    """A Markdown table, ratios to ``BASELINE``."""
    lines = [
        "| graph, engine, precision, batch | wall ms | CPU ms | ratio | offered |",
        "|---|---|---|---|---|",
    ]
    for case in found:
        median = medians[case.name]
        ratio = medians[BASELINE].cpu / median.cpu
        lines.append(
            f"| {case.name} | {median.wall:.1f} | {median.cpu:.1f} | {ratio:.2f} | {case.offered} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", nargs="?", default=None, type=Path)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--integers", type=Path, help="Films to calibrate every recipe on.")
    options = parser.parse_args()
    bundle = open_bundle(options.bundle or resolve())
    with tempfile.TemporaryDirectory() as folder:
        found = [*carried(bundle, options.threads)]
        if options.integers is not None:
            found += built(bundle, options.integers, Path(folder), options.threads)
        medians = measure(found, options.repeats)
    manifest = bundle.manifest
    print(f"{manifest.name} {manifest.version}, {manifest.encoder.architecture}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(table(found, medians))


if __name__ == "__main__":
    main()
