"""Parity gates: no artefact is written that computes something else than the model.

Every graph runs on every engine and precision that this machine has, in every batch size, on
real films (where they are given), phantoms and adversarial pictures, against torch in float32
with the very weights that the bundle stores. The tolerances are ``pacx.engines.parity.LIMITS``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle

import numpy as np

from pacx.bundle import Bundle
from pacx.engines import Engine, Precision, open_ungated
from pacx.engines.parity import LIMITS, decisions, distances
from pacx.engines.protocol import Tensor
from pacx.errors import BundleError, EngineUnavailable, ExtraMissing
from pacx.manifest import GraphName, GraphSpec, RefusedVariant
from pacx_export.graphs import BATCH, Graph
from pacx_export.pictures import counts
from pacx_export.reference import graph_inputs
from pacx_export.verification_report import GraphParity, OutputParity, Verification

VARIANTS: tuple[tuple[str, Precision], ...] = (
    ("onnxruntime", "f32"),
    ("openvino", "bf16"),
    ("openvino", "f32"),
)
KNOWN_WRONG = frozenset({("explain", "openvino")})
"""Graph and engine that are known to disagree in float32; not offered, but no reason to stop."""
UNPROVED = "not proved, because the machine that made the bundle does not compute in it"
BATCHES = range(1, 9)
"""Sizes that the pictures are run in, in turn, so that every position occurs in every size."""


def verify(bundle: Bundle, graphs: Sequence[Graph], pictures: Mapping[str, Tensor]) -> Verification:
    """Compare every graph with torch on every engine and precision of this machine.

    Args:
        bundle: Whose files to run.
        graphs: The modules that its graphs were made from.
        pictures: By kind, each float32 ``[N, S, S]`` in [0, 1].

    Raises:
        BundleError: A graph differs by more than the tolerance, or no engine is installed that
            computes in float32.
        EngineError: An engine could not run a graph.
    """
    everything = np.concatenate(list(pictures.values()))
    wanted = {graph.name: _torch_outputs(bundle, graph, everything) for graph in graphs}
    results: list[GraphParity] = []
    unproved: list[RefusedVariant] = []
    for name, precision in VARIANTS:
        try:
            engine = open_ungated(bundle, name, precision=precision, threads=1)
        except ExtraMissing:
            continue
        except EngineUnavailable:
            unproved += _unproved(bundle, name, precision)
            continue
        results += [
            compare_graph(bundle, engine, graph.name, everything, wanted[graph.name])
            for graph in graphs
        ]
        engine.close()
    _require(results, graphs)
    return Verification(
        processor=platform.processor() or platform.machine(),
        pictures=counts(pictures),
        results=tuple(results),
        unproved=tuple(unproved),
    )


def _unproved(bundle: Bundle, engine: str, precision: Precision) -> Iterator[RefusedVariant]:
    """Entries for all graphs on what is installed and cannot be run here."""
    for graph in bundle.manifest.graphs:
        yield RefusedVariant(graph=graph, engine=engine, precision=precision, reason=UNPROVED)


def _torch_outputs(bundle: Bundle, graph: Graph, pictures: Tensor) -> dict[str, Tensor]:
    return _run_all(bundle, graph.name, pictures, graph.answers)


def engine_outputs(
    bundle: Bundle, engine: Engine, graph: GraphName, pictures: Tensor
) -> dict[str, Tensor]:
    """Run a graph on pictures ``[N, S, S]`` in every batch size in turn; outputs by name."""
    return _run_all(bundle, graph, pictures, lambda inputs: engine.run(graph, inputs))


def _run_all(
    bundle: Bundle,
    graph: GraphName,
    pictures: Tensor,
    run: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> dict[str, Tensor]:
    spec, shape = bundle.manifest.input, bundle.manifest.graphs[graph]
    parts = [
        run(graph_inputs(shape, pictures[batch], spec, target=batch.start))
        for batch in _batches(shape, len(pictures))
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _batches(graph: GraphSpec, count: int) -> Iterator[slice]:
    sizes = cycle(BATCHES if graph.inputs[0].shape[0] == BATCH else [1])
    start = 0
    while start < count:
        stop = start + next(sizes)
        yield slice(start, min(stop, count))
        start = stop


def compare_graph(
    bundle: Bundle,
    engine: Engine,
    graph: GraphName,
    pictures: Tensor,
    wanted: Mapping[str, Tensor],
) -> GraphParity:
    """Run a graph on an engine and compare it with the outputs that are wanted."""
    actual = engine_outputs(bundle, engine, graph, pictures)
    outputs = tuple(_outputs(bundle, engine.precision, actual, wanted))
    total, flipped = _flips(bundle, actual, wanted)
    limits = LIMITS[engine.precision]
    return GraphParity(
        graph=graph,
        engine=engine.name,
        precision=engine.precision,
        outputs=outputs,
        decisions=total,
        flipped_decisions=flipped,
        passed=all(item.worst <= item.limit for item in outputs)
        and flipped <= limits.decisions * total,
    )


def _outputs(
    bundle: Bundle, precision: Precision, actual: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> Iterator[OutputParity]:
    limits = LIMITS[precision]
    for output, expected in wanted.items():
        found = distances(output, actual[output], expected, bundle.manifest)
        for measure, values in found.items():
            yield OutputParity(
                output=output,
                measure=measure,
                worst=float(values.max()),
                mean=float(values.mean()),
                limit=limits.of(output, measure),
            )


def _flips(
    bundle: Bundle, actual: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> tuple[int, int]:
    if "logits" not in wanted:
        return 0, 0
    left, right = (decisions(values["logits"], bundle.manifest) for values in (actual, wanted))
    return left.size, int((left != right).sum())


def _require(results: Sequence[GraphParity], graphs: Sequence[Graph]) -> None:
    """In float32 every engine must be exact; a lower precision may fail and is then not offered."""
    exact = {result.graph for result in results if result.passed and result.precision == "f32"}
    for result in results:
        known = (result.graph, result.engine) in KNOWN_WRONG
        if result.precision == "f32" and not result.passed and not known:
            raise BundleError(f"Refused: {result}")
    for graph in graphs:
        if graph.name not in exact:
            raise BundleError(f"Refused: no engine here can prove {graph.name} in float32.")
