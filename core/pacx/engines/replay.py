"""Replaying a bundle's reference vectors: no graph is offered on an engine that gets it wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

import numpy as np
from safetensors.numpy import load_file

from pacx.bundle import Bundle, open_bundle
from pacx.engines.base import graph_spec
from pacx.engines.parity import LIMITS, Measure, distances
from pacx.engines.protocol import Engine, Precision, Tensor, methods_of
from pacx.errors import BundleError, EngineError, EngineUnavailable, NotReady
from pacx.manifest import Manifest
from pacx.preprocessing import normalise

PICTURES = "pictures"
"""Tensor of the reference file: grey pictures ``[N, S, S]`` in [0, 1] behind ``pixel_values``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The worst distance of one output over all reference images, beside its limit."""

    output: str
    measure: Measure
    value: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the distance lies within the limit."""
        return self.value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphReport:
    """What the replay of one graph on one engine found.

    Attributes:
        graph: Its name.
        differences: Empty where the engine could not run the graph.
        failure: Why the engine could not run it, else None.
    """

    graph: str
    differences: tuple[Difference, ...] = ()
    failure: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the graph may be offered."""
        return self.failure is None and all(item.passed for item in self.differences)

    @property
    def reason(self) -> str:
        """Why it may not be offered, in words; empty where it may."""
        if self.failure is not None:
            return self.failure
        wrong = [item for item in self.differences if not item.passed]
        return ", ".join(
            f"{item.output} {item.measure} {item.value:.2g} over {item.limit:.2g}" for item in wrong
        )


class GatedEngine:
    """An engine that offers a graph only after its reference vectors were replayed.

    The replay runs once per graph, when it is first asked for, and warms the graph up too.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.name = engine.name
        self.precision: Precision = engine.precision
        self.device = engine.device
        self.explanations = methods_of(engine)
        self._bundle = bundle
        self._engine = engine
        self._reports: dict[str, GraphReport] = {}
        self._lock = Lock()

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one graph; see :class:`pacx.engines.protocol.Engine`.

        Raises:
            EngineUnavailable: The graph failed its replay on this engine and precision.
            NotReady: It was never run, and by now another bundle lies in its place.
        """
        if graph in self._bundle.manifest.graphs:
            self._require(self.report(graph))
        return self._engine.run(graph, inputs)

    def offers(self, graph: str) -> bool:
        """Whether this engine may run the graph; the replay runs if it has not yet."""
        return self.report(graph).passed

    def report(self, graph: str) -> GraphReport:
        """What the replay of this graph found; it runs on the first call only."""
        with self._lock:
            if graph not in self._reports:
                self._reports[graph] = self._judge(graph)
            return self._reports[graph]

    def close(self) -> None:
        """Free what the engine holds; later calls of ``run`` fail."""
        self._engine.close()

    def _judge(self, graph: str) -> GraphReport:
        reason = refusal(self._bundle.manifest, graph, self.name, self.precision)
        if reason is not None:
            return GraphReport(graph=graph, failure=reason)
        _check_unchanged(self._bundle)
        return replay(self._bundle, self._engine, graph)

    def _require(self, report: GraphReport) -> None:
        if not report.passed:
            raise EngineUnavailable(
                f"The graph {report.graph} is not offered on {self.name} in {self.precision}, "
                f"because it fails the bundle's own check: {report.reason.rstrip('.')}."
            )


def _check_unchanged(bundle: Bundle) -> None:
    """Refuse to load a graph from a folder that holds another bundle since the first was opened."""
    try:
        unchanged = open_bundle(bundle.directory).sha256 == bundle.sha256
    except (BundleError, OSError):
        unchanged = False
    if not unchanged:
        raise NotReady(
            f"The files of {bundle.manifest.name} {bundle.manifest.version} were replaced before "
            "all of it was loaded: reload the model.",
            retry_after_s=5,
        )


def refusal(manifest: Manifest, graph: str, engine: str, precision: str) -> str | None:
    """Why the export refused a graph on an engine in a precision; None where it did not."""
    for entry in manifest.refused:
        if (entry.graph, entry.engine, entry.precision) == (graph, engine, precision):
            return entry.reason
    return None


def verify_engine(bundle: Bundle, engine: Engine) -> tuple[GraphReport, ...]:
    """Replay every graph of a bundle on an engine.

    Raises:
        BundleError: The reference file does not belong to the manifest.
    """
    if isinstance(engine, GatedEngine):
        return tuple(engine.report(graph) for graph in bundle.manifest.graphs)
    return tuple(replay(bundle, engine, graph) for graph in bundle.manifest.graphs)


def replay(bundle: Bundle, engine: Engine, graph: str) -> GraphReport:
    """Run one graph on its reference inputs and compare with what torch answered.

    Raises:
        BundleError: The reference file does not belong to the manifest.
    """
    return read_reference(bundle, graph).replay(engine)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """The reference vectors of one graph, which outlive a bundle that is replaced on the disk."""

    bundle: Bundle
    graph: str
    inputs: Mapping[str, Tensor]
    expected: Mapping[str, Tensor]

    def replay(self, engine: Engine) -> GraphReport:
        """Run the graph on its reference inputs and compare with what torch answered."""
        try:
            actual = engine.run(self.graph, self.inputs)
        except EngineError as error:
            return GraphReport(graph=self.graph, failure=error.detail)
        differences = compare(self.bundle, engine.precision, actual, self.expected)
        return GraphReport(graph=self.graph, differences=differences)


def read_reference(bundle: Bundle, graph: str) -> Reference:
    """Read the reference vectors of one graph.

    Raises:
        BundleError: The reference file does not belong to the manifest.
    """
    vectors = load_file(bundle.path(bundle.manifest.reference.file))
    inputs = _part(vectors, f"{graph}.input.")
    expected = _part(vectors, f"{graph}.output.")
    _check_preprocessing(bundle, vectors, inputs)
    if set(expected) != {tensor.name for tensor in graph_spec(bundle, graph).outputs}:
        raise BundleError(f"{bundle.manifest.reference.file}: an output of {graph} is missing.")
    return Reference(bundle=bundle, graph=graph, inputs=inputs, expected=expected)


def compare(
    bundle: Bundle,
    precision: Precision,
    actual: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
) -> tuple[Difference, ...]:
    """Compare all outputs of a graph; a precision without limits compares as float32."""
    limits = LIMITS.get(precision, LIMITS["f32"])
    return tuple(
        Difference(
            output=output,
            measure=measure,
            value=float(values.max()),
            limit=limits.of(output, measure),
        )
        for output, wanted in expected.items()
        for measure, values in distances(output, actual[output], wanted, bundle.manifest).items()
    )


def _part(vectors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): array
        for name, array in vectors.items()
        if name.startswith(prefix)
    }


def _check_preprocessing(
    bundle: Bundle, vectors: Mapping[str, Tensor], inputs: Mapping[str, Tensor]
) -> None:
    """The reference pictures must become the reference inputs by the manifest's own rule."""
    file, values = bundle.manifest.reference.file, inputs.get("pixel_values")
    if PICTURES not in vectors or values is None:
        raise BundleError(f"{file}: the reference inputs are missing.")
    wanted = normalise(vectors[PICTURES][: len(values)], bundle.manifest.input)
    if wanted.shape != values.shape or not np.allclose(wanted, values, rtol=0, atol=1e-5):
        raise BundleError(f"{file} was made with another preprocessing than manifest.json states.")
