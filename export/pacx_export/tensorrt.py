"""TensorRT engines, added to a bundle only if they answer as the bundle does.

Two libraries with one interface. TensorRT for RTX builds ahead of time for a compute capability
that is named, without a GPU; TensorRT builds on the machine that is to run the engines. Where there
is a GPU the engines themselves are compared with float32, else their graphs with emulated rounding.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from pacx.bundle import Bundle, open_bundle, write_manifest
from pacx.engines import Engine, open_ungated
from pacx.engines.base import graph_spec
from pacx.engines.cuda import Cuda
from pacx.engines.plans import FILE, FOLDER, BatchProfile, EngineSet, Flavour, Plan, hashes
from pacx.engines.protocol import Tensor
from pacx.engines.tensorrt import installed
from pacx.errors import BundleError
from pacx.manifest import GraphName, GraphSpec
from pacx_export.additions import adding
from pacx_export.emulation import EmulatedEngine
from pacx_export.pictures import counts, verification_pictures
from pacx_export.plan_builder import BuiltPlan, PlanBuilder, batch_profile
from pacx_export.typed import Arithmetic, typed
from pacx_export.verification import compare_graph, engine_outputs
from pacx_export.verification_report import GraphParity, PlanPictures, add_results


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What engines to build.

    Attributes:
        precision: Of matrix products and convolutions.
        compute_capabilities: Such as ``8.6``, to build without these GPUs; none builds for the
            GPU of this machine.
        batch: Sizes of a batch that the engines take.
        graphs: Which graphs of the bundle.
        timing_cache: A file that TensorRT's measurements are kept in between builds; TensorRT for
            RTX measures nothing.
    """

    precision: Arithmetic = "f16"
    compute_capabilities: tuple[str, ...] = ()
    batch: BatchProfile = field(default_factory=BatchProfile)
    graphs: tuple[GraphName, ...] = ("encode", "predict", "explain")
    timing_cache: Path | None = None


def export_tensorrt(
    bundle: Bundle,
    options: EngineOptions,
    *,
    directory: Path | None = None,
    films: Path | None = None,
) -> Bundle:
    """Build an engine for every graph of a bundle and add them to it.

    Args:
        bundle: Whose graphs to build.
        options: What to build.
        directory: Of a copy, to be made; None adds to the bundle itself.
        films: A folder of real radiographs to prove it on, besides phantoms.

    Raises:
        ExtraMissing: Neither TensorRT nor TensorRT for RTX is installed.
        EngineUnavailable: There is no GPU and no compute capability was named, or TensorRT does not
            build for it.
        BundleError: TensorRT refuses a graph, an engine differs by more than the tolerance, or
            the bundle cannot be added to; nothing is written.
        CohortError: There are too few films.
    """
    builders = _builders(options)
    gpu = None if options.compute_capabilities else Cuda()
    place = directory or bundle.directory.resolve()
    with adding(bundle, directory) as folder:
        pictures = verification_pictures(films, bundle.manifest.input)
        for builder in builders:
            _write(bundle, folder, builder, options, gpu)
        made = write_manifest(folder, bundle.manifest)
        results = _prove(bundle, made, options, np.concatenate([*pictures.values()]), gpu)
        add_results(folder, results, PlanPictures(proved_on=counts(pictures)))
        write_manifest(folder, bundle.manifest)
    return open_bundle(place)


def _builders(options: EngineOptions) -> list[PlanBuilder]:
    """TensorRT for RTX alone builds ahead of time; on a GPU the other is tuned to it."""
    libraries = installed()
    ahead: tuple[Flavour, ...] = ("tensorrt_rtx", "tensorrt")
    order = ahead if options.compute_capabilities else ahead[::-1]
    flavour = next(name for name in order if name in libraries)
    targets = options.compute_capabilities or (None,)
    return [PlanBuilder(flavour, libraries[flavour], target) for target in targets]


def _write(
    bundle: Bundle, folder: Path, builder: PlanBuilder, options: EngineOptions, gpu: Cuda | None
) -> None:
    name = folder_name(builder, options.precision, gpu)
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).mkdir(parents=True)
    plans: dict[GraphName, Plan] = {}
    with _timing_cache(options.timing_cache) as cache:
        for graph in options.graphs:
            spec = graph_spec(bundle, graph)
            built = _build(bundle.path(spec.file), spec, builder, options, cache)
            file = f"{name}/{graph}.plan"
            (folder / file).write_bytes(built.content)
            digest = bundle.manifest.files[spec.file].sha256
            plans[graph] = Plan(file=file, graph_sha256=digest, layers=built.layers)
    record = EngineSet(
        runtime=builder.flavour,
        version=builder.version,
        gpu=gpu.gpu if gpu else None,
        compute_capability=gpu.compute_capability if gpu else builder.compute_capability or "",
        precision=options.precision,
        batch=options.batch,
        weights=hashes(bundle),
        plans=plans,
        proved_on="gpu" if gpu else "onnxruntime",
    )
    text = record.model_dump_json(indent=2) + "\n"
    (folder / name / FILE).write_text(text, encoding="utf-8")


def _build(
    path: Path, spec: GraphSpec, builder: PlanBuilder, options: EngineOptions, cache: bytearray
) -> BuiltPlan:
    """Build one engine; what was measured for it joins the timing cache."""
    model = ir.serde.serialize_model(typed(path, options.precision)).SerializeToString()
    profile = batch_profile({tensor.name: tensor.shape for tensor in spec.inputs}, options.batch)
    built = builder.build(model, profile, bytes(cache))
    cache[:] = built.timing_cache
    return built


def folder_name(builder: PlanBuilder, precision: Arithmetic, gpu: Cuda | None) -> str:
    """``tensorrt/<gpu>-<version>-<precision>``; engines of that name are replaced."""
    target = f"sm{(builder.compute_capability or '').replace('.', '')}"
    if gpu is not None:
        target = re.sub(r"[^a-z0-9]+", "-", gpu.gpu.lower()).strip("-")
    return f"{FOLDER}{target}-{builder.version}-{precision}"


@contextmanager
def _timing_cache(path: Path | None) -> Iterator[bytearray]:
    content = bytearray(path.read_bytes() if path is not None and path.exists() else b"")
    yield content
    if path is not None and content:
        path.write_bytes(bytes(content))


def _prove(
    bundle: Bundle, made: Bundle, options: EngineOptions, pictures: Tensor, gpu: Cuda | None
) -> tuple[GraphParity, ...]:
    exact = open_ungated(bundle, "onnxruntime", precision="f32")
    engine = _engine(made, options.precision, gpu)
    results = []
    for graph in options.graphs:
        wanted: Mapping[str, Tensor] = engine_outputs(bundle, exact, graph, pictures)
        result = compare_graph(made, engine, graph, pictures, wanted)
        results.append(result.model_copy(update={"emulated": gpu is None}))
    for opened in (exact, engine):
        opened.close()
    refused = [str(result) for result in results if not result.passed]
    if refused:
        raise BundleError("Refused: " + " ".join(refused))
    return tuple(results)


def _engine(made: Bundle, precision: Arithmetic, gpu: Cuda | None) -> Engine:
    if gpu is None:
        return EmulatedEngine(made, name="tensorrt", precision=precision)
    return open_ungated(made, "tensorrt", device="cuda", precision=precision)
